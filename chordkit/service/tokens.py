"""Who may ask: a token for each app, of which the service knows the digest alone, in a file that is read again when it changes."""

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from chordkit.errors import InputError
from chordkit.files import read_bytes

MOST_BYTES = 1 << 20
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}) ([0-9a-f]{64})")


class Tokens:
    """The apps of a file: lines ``NAME SHA-256``, empty ones, and comments behind ``#``. An app has as many lines as it has tokens, so that
    a new one is good before the old one goes.

    Raises:
        InputError: the file cannot be read, has a line that is none of these, or no token.
    """

    def __init__(self, path: Path) -> None:
        self._entries: list[tuple[bytes, str]] = []
        for number, line in enumerate(read_bytes(path, "tokens", MOST_BYTES).decode("utf-8", "replace").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            found = _LINE.fullmatch(text)
            if found is None:
                raise InputError(f"{path}: line {number}: it is not a name and a SHA-256; make one with `chordkit serve token NAME`")
            self._entries.append((bytes.fromhex(found[2]), found[1]))
        if not self._entries:
            raise InputError(f"{path}: there is no token in it; make one with `chordkit serve token NAME`")

    def app(self, token: str) -> str | None:
        """Whose token this is; None = nobody's. Takes as long for one as for the other."""
        given = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = None
        for digest, name in self._entries:
            if hmac.compare_digest(digest, given):
                found = name
        return found


def make_token(name: str) -> tuple[str, str]:
    """A new token of an app, and the line of the file that lets it in.

    Raises:
        InputError: a name that cannot be one.
    """
    token = secrets.token_urlsafe(32)
    line = f"{name} {hashlib.sha256(token.encode()).hexdigest()}"
    if _LINE.fullmatch(line) is None:
        raise InputError(f"serve token: {name!r} is no name of an app; use letters, digits, dots, dashes and underscores, 64 at most")
    return token, line
