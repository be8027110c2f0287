"""Small bundles for simulated phones: real ones, of backbones that nobody trained."""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.backbones import SASRecConfig, build, initialise, make_master
from chordkit.data import synthesize
from chordkit.export import bundle
from chordkit.export.artifact import Precision
from chordkit.export.assembly import assemble
from chordkit.export.bundle import BundleContents
from chordkit.export.collection import Sources, export_artifacts
from chordkit.export.targets import find_target
from chordkit.files import sha256
from chordkit.strategy import seal, to_wire, uniform

_ITEMS, _DIM, _LENGTH, _CANDIDATES = 40, 16, 10, 10
_USERS, _HISTORIES = 40, 20


@dataclass(frozen=True)
class Made:
    """A bundle file, its counter, the fingerprint of its backbone, and a strategy for everybody on it as CHRD."""

    data: bytes
    counter: int
    fingerprint: str
    strategy: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256(self.data)

    def sealed(self, serial: int, key: Ed25519PrivateKey) -> bytes:
        """The strategy in an envelope for everybody."""
        return seal(self.strategy, serial=serial, signing_key=key)


def make_bundles(backbones: Sequence[int], key: Ed25519PrivateKey) -> list[Made]:
    """One bundle for each number of a backbone, with the counters 1, 2, ...; the same number again is the same backbone."""
    contents = {backbone: _contents(backbone) for backbone in set(backbones)}
    made = []
    with tempfile.TemporaryDirectory(prefix="chordkit-simulation-") as folder:
        for counter, backbone in enumerate(backbones, 1):
            path, (holds, strategy) = Path(folder) / f"{counter}.chord", contents[backbone]
            bundle.write(path, dataclasses.replace(holds, counter=counter), key)
            made.append(Made(path.read_bytes(), counter, holds.master.fingerprint.hex(), strategy))
    return made


def _contents(seed: int) -> tuple[BundleContents, bytes]:
    dataset = synthesize(seed, users=_USERS, items=_ITEMS, mean_length=12, max_length=20)
    config = SASRecConfig(items=_ITEMS, dim=_DIM, max_length=_LENGTH, blocks=1, heads=1)
    master = make_master(initialise(build(config), seed=seed))
    strategy = uniform(master.channel_table, 4, master.fingerprint)
    sources = Sources(master, None, {"everybody": strategy})
    artifacts = export_artifacts([find_target("native")], sources, [Precision.STRATEGY], _CANDIDATES, None)
    return assemble("shop", sources, dataset, artifacts, histories=_HISTORIES, vectors=8, seed=seed), to_wire(strategy)
