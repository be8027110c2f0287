"""Native engine against the runtimes, one thread, one process, interleaved; prints the ratios.

    python benchmarks/kernels/peers.py [--rounds 4000] [--candidates 100] [--json]

All run the same graph (last block for the last position only) with fp32 weights, which is their fastest form at this size; the
engine runs a strategy of 3.0 bits on average. Every call goes through Python and copies its inputs, as an application would.
Runtimes that are not installed are left out.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, make_master
from chordkit.errors import MissingRuntimeError
from chordkit.export.lowering import ArtifactSpec, lower
from chordkit.export.runners import load_runner
from chordkit.export.targets import Precision, Target
from chordkit.kernels import Engine
from chordkit.kernels.engine import native
from chordkit.strategy import Strategy, encode

ITEMS = 3707
CONFIGS = {"sasrec": SASRecConfig(items=ITEMS, heads=1, norm_first=True), "caser": CaserConfig(items=ITEMS)}
PEERS = (Target.LITERT, Target.ONNX, Target.EXECUTORCH)


def bare_call(engine: Engine, history: np.ndarray, candidates: np.ndarray) -> Callable[[], object]:
    """The C function alone, buffers bound once: what an application in C or Java pays."""
    ffi, lib = native()
    memory, session = ffi.new("char[]", engine.session_bytes), ffi.new("chord_session **")
    assert lib.chord_session_open(engine._model, memory, engine.session_bytes, session) == lib.CHORD_OK
    scores = np.empty(len(candidates), np.float32)
    buffers = [ffi.from_buffer("int32_t[]", history), ffi.from_buffer("int32_t[]", candidates), ffi.from_buffer("float[]", scores)]
    keep = (memory, scores)
    return lambda: (lib.chord_rerank(session[0], buffers[0], len(history), buffers[1], len(candidates), buffers[2]), keep)


def contestants(name: str, candidates: int) -> dict[str, Callable[[], object]]:
    """One call of each, over a full history."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    backbone = build(CONFIGS[name]).eval()
    history = rng.integers(1, ITEMS + 1, CONFIGS[name].max_length).astype(np.int32)
    asked = rng.integers(1, ITEMS + 1, candidates).astype(np.int32)
    master = make_master(backbone)
    engine = Engine(master.to_bytes())
    widths = rng.choice([2, 4, 8], engine.channels, p=[0.65, 0.20, 0.15]).astype(np.uint8)
    engine.adopt(encode(Strategy(widths, master.fingerprint)))
    calls: dict[str, Callable[[], object]] = {
        "engine (C call)": bare_call(engine, history, asked),
        "engine": lambda: engine.scores(history, asked),
        "engine, half history": bare_call(engine, history[len(history) // 2 :].copy(), asked),
    }
    for target in PEERS:
        try:
            runner = load_runner(target, lower(ArtifactSpec(target, Precision.FP32, candidates=candidates), backbone))
        except MissingRuntimeError:
            continue
        calls[str(target)] = lambda runner=runner: runner.scores(history, asked)
    return calls


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """min, p50, p90 and p99 in us and the coefficient of variation; round robin, so that all see the same machine."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()  # its own warm-up: the call before was another runtime's, and has taken the caches
            start = time.perf_counter_ns()
            call()
            times[name].append(time.perf_counter_ns() - start)
    result = {}
    for name, taken in times.items():
        us = np.asarray(taken) / 1e3
        p50, p90, p99 = np.percentile(us, (50, 90, 99))
        result[name] = {"min": us.min(), "p50": p50, "p90": p90, "p99": p99, "cv": us.std() / us.mean(), "n": len(us)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = {name: measure(contestants(name, arguments.candidates), arguments.rounds) for name in CONFIGS}
    if arguments.json:
        print(json.dumps(report))
        return
    for name, rows in report.items():
        peers = {peer: row for peer, row in rows.items() if not peer.startswith("engine")}
        fastest = min(peers, key=lambda peer: peers[peer]["p50"]) if peers else None
        print(f"{name}, {arguments.candidates} candidates, us")
        for row_name, row in rows.items():
            ratio = f"{row['p50'] / peers[fastest]['p50']:.2f} x {fastest}" if fastest else ""
            columns = " ".join(f"{key} {row[key]:8.2f}" for key in ("min", "p50", "p90", "p99", "cv"))
            print(f"  {row_name:22s} {columns} n {row['n']}  {ratio}")


if __name__ == "__main__":
    main()
