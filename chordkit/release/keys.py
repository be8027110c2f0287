"""The keys of a channel's roles: PEM files in folders, found by what they are and not by their names."""

from collections.abc import Iterable
from pathlib import Path

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Root

from chordkit.errors import InputError, ReleaseError
from chordkit.release.records import ROLES
from chordkit.signing import generate_key_pair, load_private_key, load_public_key

_MOST_KEYS = 16


class Keyring:
    """The private keys in some folders; a folder that is not there (a stick that is not in) holds none."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._signers: dict[str, CryptoSigner] = {}
        for folder in folders:
            for path in sorted(folder.glob("*.pem")):
                if not path.name.endswith(".pub.pem"):
                    signer = CryptoSigner(load_private_key(path))
                    self._signers[signer.public_key.keyid] = signer

    def signers(self, identifiers: Iterable[str]) -> list[CryptoSigner]:
        """Of these keys, those that are here."""
        return [self._signers[identifier] for identifier in identifiers if identifier in self._signers]

    def require(self, root: Root, role: str) -> list[CryptoSigner]:
        """Those that sign for a role.

        Raises:
            ReleaseError: fewer are here than the role needs.
        """
        wanted = root.roles[role]
        found = self.signers(wanted.keyids)
        if len(found) < wanted.threshold:
            raise ReleaseError(
                f"release: {role}: {len(found)} of its private keys are here and {wanted.threshold} have to sign; "
                f"give the folder that holds {', '.join(each[:16] for each in wanted.keyids)}"
            )
        return found


def make_keys(folder: Path, role: str, count: int) -> list[SSlibKey]:
    """New keys for a role, each a pair of files ``<role>-<number>.pem`` and ``.pub.pem``, the private one for its owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: list[SSlibKey] = []
    number = 1
    while len(made) < count:
        private, public = folder / f"{role}-{number}.pem", folder / f"{role}-{number}.pub.pem"
        if not private.exists() and not public.exists():
            generate_key_pair(private, public)
            made.append(SSlibKey.from_crypto(load_public_key(public)))
        number += 1
    return made


def require_shares(shares: dict[str, tuple[int, int]]) -> None:
    """Hold that for each role no more keys have to sign than there are.

    Raises:
        ReleaseError: for one they do, or it is no role.
    """
    for role, (needed, count) in shares.items():
        if role not in ROLES:
            raise InputError(f"{role!r} is no role; give one of {', '.join(ROLES)}")
        if not 1 <= needed <= count <= _MOST_KEYS:
            raise ReleaseError(f"release: {role}: {needed} of {count} keys cannot sign; give 1 <= NEEDED <= KEYS <= {_MOST_KEYS}")
