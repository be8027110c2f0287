"""What a call of the engine computes in."""

from dataclasses import dataclass
from typing import Any

from chordkit.strategy import UserVector, encode_user_vector


@dataclass
class Session:
    """A session of the library, the memory it lives in, and the user vector that it has."""

    handle: Any
    memory: Any
    user: bytes | None = None


def wire_form(user: UserVector | bytes | None) -> bytes | None:
    """A user vector in bytes of its own: what a caller may write to later is copied."""
    return encode_user_vector(user) if isinstance(user, UserVector) else user if user is None else bytes(user)
