"""The command line."""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
import time
from typing import NoReturn

import numpy as np

from .measure import COUNT_WARMUP, Bench
from .records import Records, microseconds
from .runtimes import TARGETS, Runtime, import_runtime, load, version_of
from .system import ABIS, NAME, Counter, Refused, Stop, memory_bytes, read, reset_peak

MODES = ("saturated", "cold", "sparse", "sustained")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise Refused(message)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = Parser(prog=NAME, allow_abbrev=False)
    for name in ("artifact", "histories", "candidates", "scores", "records"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("strategy", "user", "pid", "variant"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--target", required=True, choices=TARGETS)
    parser.add_argument("--mode", default="saturated", choices=MODES)
    parser.add_argument("--memory", action="store_true")
    whole = {"users": (None, 1, 10**6), "min-samples": (1024, 1, 10**6), "adoptions": (20, 1, 10**4), "threads": (1, 1, 1024)}
    whole |= {"flush-bytes": (1 << 26, 4096, 1 << 30), "count": (0, 1, 10**8)}
    decimal = {"min-seconds": (10, 0, 86400), "max-seconds": (60, 0.001, 86400), "interval-ms": (1000, 0.001, 3.6e6)}
    decimal |= {"block-ms": (10, 0.001, 1e4)}
    for table, kind in ((whole, int), (decimal, float)):
        for name, (default, _, _) in table.items():
            parser.add_argument(f"--{name}", type=kind, default=default, required=default is None)
    parser.add_argument("--cpus", default="")
    options = parser.parse_args(arguments)
    for name, (default, least, most) in {**whole, **decimal}.items():
        value = getattr(options, name.replace("-", "_"))
        if value != default and not least <= value <= most:
            raise Refused(f"--{name} {value}: give a number from {least} to {most}")
    if options.count and options.memory:
        raise Refused("--count and --memory are measured in runs of their own; give one of them")
    if options.strategy is not None:
        raise Refused("--strategy: it is part of the file for every runtime but the native one; leave it out")
    return options


def ids(path: str, users: int, what: str, size: int) -> np.ndarray:
    """int32 ``[users, size]`` of a file."""
    data = read(path)
    if len(data) != 4 * users * size:
        raise Refused(f"{path}: {len(data)} bytes are not int32 [{users} users, {size} {what}]")
    return np.frombuffer(data, "<i4").astype(np.int32).reshape(users, size)


def vector(path: str | None, runtime: Runtime) -> np.ndarray | None:
    """The user vector, for a runtime that takes one; zeros, nobody's, when none is given."""
    if runtime.dim is None:
        if path is not None:
            raise Refused(f"{path}: the artifact takes no user vector; leave --user out")
        return None
    if path is None:
        return np.zeros(runtime.dim, np.float32)
    data = read(path)
    if len(data) != 4 * runtime.dim:
        raise Refused(f"{path}: {len(data)} bytes are no user vector of {runtime.dim} float32")
    values = np.frombuffer(data, "<f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise Refused(f"{path}: the user vector is not finite")
    return values


def run(options: argparse.Namespace) -> int:
    """Measure; gives the exit status."""
    stop = Stop()
    stop.catch()
    if options.cpus:
        try:
            os.sched_setaffinity(0, {int(cpu) for cpu in options.cpus.split(",")})
        except (OSError, ValueError, OverflowError) as error:
            raise Refused(f"--cpus {options.cpus}: this process may not run there ({error}); give processors that are online") from None
    records = Records(options.records)
    counter = Counter() if options.count else None  # before the runtime makes its threads
    kind = TARGETS[options.target]
    start = time.perf_counter_ns()
    import_runtime(kind)
    imported = time.perf_counter_ns()
    if options.memory:
        reset_peak()
    before = memory_bytes("VmRSS") if options.memory else 0
    loading = time.perf_counter_ns()
    runtime = load(kind, options.artifact, options.threads)
    loaded = time.perf_counter_ns()
    abi, named = ABIS.get(platform.machine(), platform.machine()), f"{kind.package} {version_of(kind.package)}"
    place = {"pid": os.getpid(), "cpus": sorted(os.sched_getaffinity(0)), "threads": options.threads, "mode": options.mode}
    records.say("start", version=1, program=NAME, abi=abi, runtime=named, variant=None, **place)
    records.say("load", us=microseconds(loaded - loading), runtime_us=microseconds(imported - start))
    histories = ids(options.histories, options.users, "slots", runtime.length)
    candidates = ids(options.candidates, options.users, "candidates", runtime.candidates)
    runtime.prepare(histories, candidates, vector(options.user, runtime))
    bench = Bench(runtime, options.users, records, stop)
    records.say("first", us=microseconds(bench.sample()))
    bench.write_scores(options.scores)
    gc.disable()
    total, seconds = 0, 0.0
    if counter is not None:
        bench.count(options.count, counter)
    elif options.memory:
        for _ in range(COUNT_WARMUP):
            bench.sample()
        records.say("memory", peak_bytes=memory_bytes("VmHWM"), before_bytes=before)
    else:
        total, seconds = bench.measure(options, bench.warm_up())
    if stop.signal:
        return 128 + stop.signal
    records.say("end", samples=total, seconds=round(seconds, 6))
    return 0


def main(arguments: list[str]) -> int:
    """The program; its exit status."""
    pid = None
    try:
        options = parse(arguments)
        if options.pid is not None:
            try:
                with open(options.pid, "w") as stream:
                    stream.write(f"{os.getpid()}\n")
            except OSError as error:
                raise Refused(f"{options.pid}: cannot be written ({error.strerror})") from None
            pid = options.pid
        return run(options)
    except Refused as refusal:
        print(f"{NAME}: {refusal}", file=sys.stderr)
        return 2
    finally:
        if pid is not None:
            os.unlink(pid)


def end(status: int) -> NoReturn:
    """Leave without the runtimes' destructors: they are not what is measured, and some of them crash at exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    end(main(sys.argv[1:]))
