"""A channel's owner who is killed at any write, and whose mirror the framework's own client reads too."""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="needs chordkit[release]")
pytest.importorskip("sqlalchemy", reason="needs chordkit[release]")

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

from chordkit.release.channel import Candidate, Channel
from chordkit.release.client import ChannelClient
from chordkit.release.words import Killed
from tests.release.test_client import GOLDEN, _bytes


def _is_write(event: str, arguments: tuple) -> bool:
    """A file's name is about to appear, or to reach the disk."""
    return event in ("os.rename", "os.link") or (event == "open" and bool(int(arguments[2] or 0) & os.O_DIRECTORY))


def _killed_at(write: int, do) -> bool:
    """Run ``do`` in a process that kills itself at its ``write``-th write; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = [write]

        def count(event: str, arguments: tuple) -> None:
            if _is_write(event, arguments):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            do()
        except BaseException:
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


class _Phone:
    """Looks again and again, and remembers every file that it was shown under a number."""

    def __init__(self, channel: Channel, clock) -> None:
        self.channel, self.clock, self.state = channel, clock, b""
        self.root = channel.repository.fetch("metadata/1.root.json", 1 << 16)
        self.seen: dict[str, bytes] = {}

    def look(self):
        client = ChannelClient(self.root, self.state, self.channel.repository.fetch, self.clock.now)
        targets = client.refresh()
        self.state = client.state
        for release in targets.releases:
            client.bundle(release)
        for path in (self.channel.home.mirror / "metadata").glob("*.json"):
            if path.name != "timestamp.json":
                assert self.seen.setdefault(path.name, path.read_bytes()) == path.read_bytes()
        return targets


@pytest.mark.parametrize("verb", ["publish", "rollback", "refresh", "rotate timestamp", "rotate root"])
def test_whoever_is_killed_leaves_a_mirror_that_verifies(verb: str, tmp_path: Path, clock, make_bundle, bundle_key: Path) -> None:
    channel = Channel.init(tmp_path / "shop", "shop", clock=clock)
    for counter in (1, 2):
        channel.publish(Candidate(make_bundle(counter), [bundle_key]))
    phone = _Phone(channel, clock)
    numbers = [release.number for release in phone.look().releases]
    write = 0
    while True:
        write += 1
        counter = 2 + write
        do = {
            "publish": lambda counter=counter: channel.publish(Candidate(make_bundle(counter), [bundle_key]), differences_from=[1]),
            "rollback": channel.rollback,
            "refresh": channel.refresh,
            "rotate timestamp": lambda: channel.rotate("timestamp", 1, 1),
            "rotate root": lambda: channel.rotate("root", 1, 1),
        }[verb]
        if verb == "rollback":
            channel.publish(Candidate(make_bundle(100 + counter), [bundle_key]))
        make_bundle(counter)
        dead = _killed_at(write, do)
        found = [release.number for release in phone.look().releases]
        assert len(set(found)) == len(found) and max(found) >= max(numbers)
        numbers = found
        # Whoever comes next finishes, without a version that was given out before.
        channel.refresh()
        assert channel.due() == ()
        phone.look()
        if not dead:
            break
    assert write > {"publish": 5, "rollback": 4, "refresh": 1, "rotate timestamp": 4, "rotate root": 4}[verb]


LAST_SECOND = 253_402_300_799
"""That the framework's clock can tell."""


class _Folder(FetcherInterface):
    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__()
        self.files = files

    def _fetch(self, url: str):
        path = url.removeprefix("http://mirror/")
        if path not in self.files:
            raise DownloadHTTPError("not here", 404)
        yield self.files[path]


# What the framework's client may take and a phone does not: another spelling, other forms, one key under two identifiers.
NARROWER = ("spelling:", "envelope:", "root:", "timestamp:", "snapshot:", "targets:", "one key under two", "a signature ")


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["case"])
def test_the_frameworks_own_client_says_the_same(case: dict, tmp_path: Path) -> None:
    narrower = case["case"].startswith(NARROWER)
    bootstrap: bytes | None = _bytes(case["root"])
    for step in case["steps"]:
        files = {path: _bytes(label) for path, label in step["mirror"].items()}
        updater = Updater(str(tmp_path), "http://mirror/metadata", fetcher=_Folder(files), bootstrap=bootstrap)
        updater._trusted_set.reference_time = datetime.fromtimestamp(min(step["now"], LAST_SECOND), UTC)
        updater.config.max_root_rotations = 32
        updater.config.root_max_length, updater.config.timestamp_max_length = 65_536, 16_384
        updater.config.snapshot_max_length, updater.config.targets_max_length = 65_536, 2_097_152
        try:
            updater.refresh()
            accepted = True
        except (RepositoryError, DownloadError):
            accepted = False
        if "accepted" in step:
            assert accepted
            found = {role: updater._trusted_set[role].version for role in step["accepted"]}
            assert found == step["accepted"]
        elif not narrower:
            assert not accepted
        if "refused" in step:
            return  # the framework's client keeps what it saw before a refusal, a phone all or nothing of it


def test_the_frameworks_own_client_takes_what_an_owner_made(tmp_path: Path, clock, make_bundle, bundle_key: Path) -> None:
    channel = Channel.init(tmp_path / "shop", "shop", clock=clock, shares={"root": (2, 3), "targets": (2, 2)})
    for counter in (1, 2):
        channel.publish(Candidate(make_bundle(counter), [bundle_key]))
    channel.rotate("targets", 1, 2)
    channel.rotate("root", 2, 2)
    channel.kill(Killed("46afccc803a06ae9", None, 1, 2))
    back = channel.rollback()
    mirror = channel.home.mirror
    files = {str(path.relative_to(mirror)): path.read_bytes() for path in mirror.rglob("*") if path.is_file()}
    first = files["metadata/1.root.json"]
    updater = Updater(
        str(tmp_path), "http://mirror/metadata", str(tmp_path), "http://mirror/targets", fetcher=_Folder(files), bootstrap=first
    )
    updater._trusted_set.reference_time = datetime.fromtimestamp(clock.now, UTC)
    updater.refresh()
    target = updater.get_targetinfo(back.name)
    assert target is not None and target.custom == {"chordkit": back.to_json()}
    assert Path(updater.download_target(target)).read_bytes() == make_bundle(1).read_bytes()
