"""What an owner is told of a channel: whether its mirror verifies, until when, and what became of each release."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Root

from chordkit.errors import ReleaseError
from chordkit.release.channel import Channel
from chordkit.release.client import ChannelClient
from chordkit.release.home import DAY_S
from chordkit.release.metadata import LIMITS
from chordkit.release.records import ROLES, RegisteredRelease

_WRITTEN = "%Y-%m-%dT%H:%M:%SZ"
ROOT_WARNING_S = 30 * DAY_S
"""So long before its end a root is told of: its keys have to be fetched from where they are kept."""


def status(channel: Channel, now: Callable[[], float]) -> dict[str, Any]:
    """A channel as it is now, for JSON.

    Keys: ``name``, ``mirror``, ``registry``; ``problem``, what a phone without a past would say of the mirror, or None; ``due``, roles
    whose files are to be written; ``roles``, each with ``version``, ``expires``, ``seconds_left``, ``keys``, ``threshold``; ``releases``,
    the newest first; ``killed``; ``remarks``.
    """
    seconds = now()
    root = channel.repository.root()
    assert isinstance(root.signed, Root)
    files = {"root": root, **channel.repository.current()}
    roles = {}
    for role in ROLES:
        keys = root.signed.roles[role]
        expires = files[role].signed.expires if role in files else None
        roles[role] = {
            "version": files[role].version if role in files else None,
            "expires": None if expires is None else f"{expires:{_WRITTEN}}",
            "seconds_left": None if expires is None else round(expires.timestamp() - seconds),
            "keys": len(keys.keyids),
            "threshold": keys.threshold,
        }
    problem = _problem(channel, seconds)
    due = channel.due()
    return {
        "name": channel.home.name,
        "mirror": str(channel.home.mirror),
        "registry": channel.registry.name,
        "problem": problem,
        "due": list(due),
        "roles": roles,
        "releases": [_release(channel, each) for each in reversed(channel.registry.releases())],
        "killed": [killed.to_json() for killed in channel.registry.killed()],
        "remarks": _remarks(problem, due, root.signed.expires.timestamp() - seconds),
    }


def _problem(channel: Channel, seconds: float) -> str | None:
    fetch = channel.repository.fetch
    try:
        shipped = fetch("metadata/1.root.json", LIMITS["root"])
        if shipped is None:
            return "there is no metadata/1.root.json, from which phones start"
        ChannelClient(shipped, b"", fetch, int(seconds)).refresh()
    except ReleaseError as error:
        return str(error)
    return None


def _remarks(problem: str | None, due: tuple[str, ...], root_left: float) -> list[str]:
    remarks = []
    if problem is not None:
        remarks.append(f"phones refuse this mirror: {problem}")
    if due:
        remarks.append(f"{', '.join(due)}: to be written anew; run `chordkit release refresh`")
    if root_left < ROOT_WARNING_S:
        remarks.append(f"the root ends in {root_left / DAY_S:.0f} days; run `chordkit release refresh --root` with its keys")
    return remarks


def log(channel: Channel, last: int) -> dict[str, Any]:
    """The ``last`` events of the audit log, the newest first, for JSON: each with ``time``, ``who``, ``release`` and ``what``."""
    return {
        "events": [
            {"time": _written(event.time), "who": event.who, "release": event.release, "what": event.what}
            for event in channel.registry.events(last)
        ]
    }


def _written(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):{_WRITTEN}}"


def _release(channel: Channel, registered: RegisteredRelease) -> dict[str, Any]:
    release = registered.release
    health = channel.registry.health(release.number)
    return {
        **release.to_json(),
        "state": registered.state,
        "name": release.name,
        "length": release.length,
        "created": _written(registered.created),
        "passed": sum(each.passed for each in health),
        "failed": sum(each.failed for each in health),
    }
