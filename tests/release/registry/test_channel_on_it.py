"""A channel whose registry is in either database: owners on several machines wait for each other, and one that dies blocks nobody."""

import os
import signal
import sys
import threading
from pathlib import Path

from chordkit.release.channel import Candidate, Channel
from chordkit.release.client import ChannelClient
from chordkit.release.status import status
from chordkit.release.words import Killed


def test_owners_wait_for_each_other_and_not_for_the_dead(url: str, tmp_path: Path, clock, make_bundle, bundle_key: Path) -> None:
    home = tmp_path / "shop"
    Channel.init(home, "shop", registry=url, clock=clock).publish(Candidate(make_bundle(1), [bundle_key]))
    child = os.fork()
    if child == 0:
        # Within the transaction, before anything is written.
        sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "os.rename" else None)
        Channel.open(home, clock=clock).publish(Candidate(make_bundle(2), [bundle_key]))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    channels = [Channel.open(home, clock=clock) for _ in range(3)]
    owners = [
        threading.Thread(target=channel.kill, args=[Killed("46afccc803a06ae9", None, serial, serial)])
        for serial, channel in enumerate(channels, 1)
    ]
    for owner in owners:
        owner.start()
    for owner in owners:
        owner.join()
    channel = channels[0]
    shipped = (home / "mirror" / "metadata" / "1.root.json").read_bytes()
    targets = ChannelClient(shipped, b"", channel.repository.fetch, clock.now).refresh()
    assert sorted(killed.serial_from for killed in targets.killed) == [1, 2, 3]
    found = status(channel, clock)
    assert found["problem"] is None and not found["due"] and targets.versions["targets"] >= 5
    assert "://" in found["registry"]
