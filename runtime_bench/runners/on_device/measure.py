"""How calls follow each other, and what is kept of them."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import deque

import numpy as np

from .records import Records
from .runtimes import Runtime
from .system import NAME, Counter, Refused, Stop, write_all

WINDOW, AGREEMENT, LEAST_S, MOST_S = 30, 0.04, 0.25, 8.0
"""Warm-up: calls of a moving average, how near the two have to be, and seconds."""
SHORTEST_SAMPLE_US, BLOCK_SAMPLES, FILE_SAMPLES, LINE_BYTES = 10.0, 1 << 16, 2_000_000, 64
COUNT_WARMUP = 30


class Bench:
    """Calls of one runtime, user after user."""

    def __init__(self, runtime: Runtime, users: int, records: Records, stop: Stop) -> None:
        self.runtime, self.users, self.records, self.stop, self._next = runtime, users, records, stop, 0

    def set_next(self) -> None:
        self.runtime.set(self._next)
        self._next = (self._next + 1) % self.users

    def sample(self, batch: int = 1) -> int:
        """Nanoseconds of a call, in the mean over ``batch`` of the next user."""
        self.set_next()
        call, clock = self.runtime.call, time.perf_counter_ns
        if batch == 1:
            start = clock()
            call()
            return clock() - start
        times = range(batch)
        start = clock()
        for _ in times:
            call()
        return (clock() - start) // batch

    def write_scores(self, path: str) -> None:
        scores = np.empty((self.users, self.runtime.candidates), "<f4")
        for user in range(self.users):
            self.runtime.set(user)
            self.runtime.call()
            scores[user] = self.runtime.scores()
        wrong = np.argwhere(~np.isfinite(scores))
        if len(wrong):
            raise Refused("user {}, candidate {}: the score is not finite".format(*wrong[0]))
        try:
            with open(path, "wb", buffering=0) as stream:
                write_all(stream, path, scores.tobytes())
        except OSError as error:
            raise Refused(f"{path}: cannot be made ({error.strerror})") from None
        self.records.say("checked", users=self.users, candidates=self.runtime.candidates)

    def warm_up(self) -> float:
        """Call until two moving averages agree; gives us per call of the last ones, 0 when there were too few."""
        last: deque[int] = deque(maxlen=2 * WINDOW)
        calls, seconds, converged = 0, 0.0, False
        begin = time.perf_counter_ns()
        while not self.stop.signal:
            last.append(self.sample())
            calls += 1
            seconds = (time.perf_counter_ns() - begin) / 1e9
            if len(last) == 2 * WINDOW and seconds >= LEAST_S:
                times = list(last)
                before, now = sum(times[:WINDOW]), sum(times[WINDOW:])
                converged = abs(now - before) <= AGREEMENT * max(now, before)
            if calls >= WINDOW and (converged or seconds >= MOST_S):
                break
        if not self.stop.signal:
            self.records.say("warmup", calls=calls, seconds=round(seconds, 6), converged=converged)
        return sum(list(last)[-WINDOW:]) / WINDOW / 1e3 if calls >= WINDOW else 0.0

    def measure(self, options: argparse.Namespace, call_us: float) -> tuple[int, float]:
        """Blocks of samples, recorded as they come; gives their number and the seconds they took."""
        mode, clock, stop = options.mode, time.perf_counter_ns, self.stop
        short = mode in ("saturated", "sustained") and 0 < call_us < SHORTEST_SAMPLE_US
        batch = math.ceil(SHORTEST_SAMPLE_US / call_us) if short else 1
        flushed = np.ones(options.flush_bytes, np.uint8)[::LINE_BYTES] if mode == "cold" else None
        block_ns, interval_ns = int(options.block_ms * 1e6), int(options.interval_ms * 1e6)
        samples = [0] * BLOCK_SAMPLES
        total, seconds = 0, 0.0
        begin = now = clock()
        due = begin + interval_ns

        def finished() -> bool:
            enough = mode != "sustained" and total >= options.min_samples and seconds >= options.min_seconds
            return bool(stop.signal or enough or seconds >= options.max_seconds)

        while not finished():
            if mode in ("saturated", "sustained"):
                # Writing the last block had the caches. What a file has no room for runs unrecorded, evenly over the time.
                while True:
                    self.sample(batch)
                    now = clock()
                    seconds = (now - begin) / 1e9
                    if finished() or total * options.max_seconds <= FILE_SAMPLES * seconds:
                        break
                if finished():
                    break
            start, count = now, 0
            while count < BLOCK_SAMPLES:
                if flushed is not None:
                    flushed.sum()
                if mode == "sparse":
                    while not stop.signal and (rest := due - clock()) > 0:
                        time.sleep(min(rest / 1e9, 0.1))
                    due = max(due, clock()) + interval_ns
                if stop.signal:
                    break
                samples[count] = self.sample(batch)
                count += 1
                now = clock()
                if now - start >= block_ns:
                    break
            seconds = (now - begin) / 1e9
            if count:
                self.records.times("block", samples[:count], at_s=round((start - begin) / 1e9, 6), batch=batch)
            total += count
        return total, seconds

    def count(self, calls: int, counter: Counter) -> None:
        """Instructions of all calls: those of a loop that sets inputs and calls, less those of a loop that only sets them."""
        start = time.perf_counter_ns()
        for _ in range(COUNT_WARMUP):
            self.sample()
        self.records.say("warmup", calls=COUNT_WARMUP, seconds=round((time.perf_counter_ns() - start) / 1e9, 6), converged=True)
        totals = []
        for call in (self.runtime.call, int):
            self._next = 0
            counter.start()
            for _ in range(calls):
                self.set_next()
                call()
            totals.append(counter.stop())
        if counter.reason:
            print(f"{NAME}: instructions are not counted ({counter.reason})", file=sys.stderr)
        else:
            self.records.say("counts", calls=calls, instructions=max(0, totals[0] - totals[1]), adoption_instructions=None)
