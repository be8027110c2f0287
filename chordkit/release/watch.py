"""Watches over a channel: metadata is signed before it ends, and releases that fail on phones are stopped."""

import sys
import time
from collections.abc import Callable
from typing import Any

from chordkit.errors import RegistryUnreachable
from chordkit.release.channel import Channel
from chordkit.release.stop import Rule


def look(channel: Channel, rule: Rule) -> dict[str, Any]:
    """Do what is to be done now; what was done."""
    done: dict[str, Any] = {}
    # First what phones must not get, then what keeps them up to date.
    if verdicts := channel.stop_failing(rule):
        done["stopped"] = {str(number): str(verdict) for number, verdict in verdicts.items()}
    if channel.due():
        done["written"] = list(channel.refresh())
    return done


def watch(channel: Channel, rule: Rule, tell: Callable[[dict[str, Any]], None], every_s: float | None) -> None:
    """Look again and again, until interrupted.

    Args:
        channel: that is watched.
        rule: when a release has to stop.
        tell: hears of every look that did something.
        every_s: seconds between two looks; None = look once.

    Raises:
        RegistryUnreachable: it is not there, and there is only one look; otherwise the next look may find it.
    """
    while True:
        try:
            done = look(channel, rule)
        except RegistryUnreachable as error:
            if every_s is None:
                raise
            done = {"waiting": str(error)}
        if done:
            tell(done)
            sys.stdout.flush()
        if every_s is None:
            return
        time.sleep(every_s)
