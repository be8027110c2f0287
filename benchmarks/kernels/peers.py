"""The native engine against LiteRT, ONNX Runtime, ExecuTorch-XNNPACK, OpenVINO and PyTorch: one thread, one run, in turns.

    python benchmarks/kernels/peers.py [--quick] [--level model|linear] [--runtimes litert,openvino] [--rounds 300] [--json]
                                      [--model 'd = 128']

Model level: SASRec (64, 128 and 256 wide, both orders of norms) and Caser, 100 and 1,000 candidates, full and half-full histories, warm
and cold (64 MB are read before each call), each peer with every file it can run (float32, int8, a strategy at 3.0 bits), all of them the
graph with the last block for the last position only. Linear level: single layers, int8 and at 3.0 bits. Every contender is first
compared with the reference: a wrong file of a whole model ends the run, a wrong form of a layer is named and left out. Then all take
turns on one processor, inputs and outputs bound to fixed memory as far as the runtime's Python API allows. Ratios are medians of ratios
within a round, with a 95 % bootstrap interval over the rounds, against the fastest row of all peers. What is not installed, and what a
runtime cannot do, is named. Exit status 0 whether or not a bar is met.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Collection, Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from contest import report

from chordkit.errors import MissingRuntimeError
from chordkit.runtime_bench.interleave import last_processor, one_processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, 100 candidates, the small layers")
    parser.add_argument("--level", choices=(*LEVELS, "both"), default="both")
    parser.add_argument("--model", nargs="+", default=[""], help="only models whose name holds one of these, of the model level")
    parser.add_argument("--runtimes", default=",".join(LINEARS), help="peers to take part")
    parser.add_argument("--rounds", type=int, help="blocks of each contender (default 300, quick 40)")
    parser.add_argument("--json", action="store_true", help="everything on stdout as JSON; tables are left out")
    options = parser.parse_args()
    runtimes = tuple(options.runtimes.split(","))
    if unknown := set(runtimes) - set(LINEARS):
        parser.error(f"--runtimes: {', '.join(sorted(unknown))} is none of {', '.join(LINEARS)}")
    rounds = options.rounds or (40 if options.quick else 300)
    levels = [cases for name, cases in LEVELS.items() if options.level in (name, "both")]
    cpu = last_processor()
    with one_processor(cpu):
        result = report.header(cpu, rounds)
        if not options.json:
            print(report.header_text(result))
        for cases in levels:
            for case in cases(runtimes, rounds, options.quick, options.model):
                result["cases"].append(case)
                if not options.json:
                    print(report.case_text(case), flush=True)
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print(report.summary_text(result["cases"]))


def _model_cases(runtimes: Collection[str], rounds: int, quick: bool, only: Collection[str]) -> Iterator[dict[str, Any]]:
    from contest.compare import rows
    from contest.model import CONFIGS, model_case, model_peers
    from contest.model_engine import engine_contenders

    for name in CONFIGS:
        if not any(part in name for part in only):
            continue
        for candidates in (100,) if quick else (100, 1000):
            report.progress(f"{name}, {candidates} candidates: exporting, loading and checking")
            case, missing = model_case(name, candidates), {}
            contenders = engine_contenders(case) + model_peers(case, runtimes, missing)
            for row, history in ((0, "full"), (1, "half")):
                report.progress(f"{name}, {candidates} candidates, {history} history: measuring {len(contenders)} contenders")
                for contender in contenders:
                    contender.answers(case.inputs(range(row, row + 1)))
                about = {"level": "model", "model": name, "candidates": candidates, "history": history}
                yield {**about, **rows(contenders, missing, rounds, cold_rounds=max(20, rounds // 10))}


def _linear_cases(runtimes: Collection[str], rounds: int, quick: bool, only: Collection[str]) -> Iterator[dict[str, Any]]:
    from contest import linear
    from contest.compare import rows
    from contest.linear_native import native_linears

    for shape in (linear.SHAPES[0], linear.SHAPES[2]) if quick else linear.SHAPES:
        for bits in linear.BITS:
            name = f"linear {' x '.join(map(str, shape))}, {bits}"
            report.progress(f"{name}: building and checking")
            case, missing = linear.linear_case(*shape, bits), {}
            contenders = native_linears(case)
            for runtime in runtimes:
                contenders += _linears_of(runtime, case, missing)
            report.progress(f"{name}: measuring {len(contenders)} contenders")
            about = {"level": "linear", "rows": shape[0], "in": shape[1], "out": shape[2], "bits": bits}
            yield {**about, **rows(contenders, missing, rounds, cold_rounds=max(3, rounds // 10))}


def _linears_of(runtime: str, case: Any, missing: dict[str, str]) -> list[Any]:
    """The builders import their runtime's packages; one that is not installed is named and left out."""
    module, function = LINEARS[runtime]
    try:
        return getattr(importlib.import_module(f"contest.{module}"), function)(case, missing)
    except (ImportError, MissingRuntimeError) as error:
        missing[runtime] = str(error)
        return []


LINEARS = {
    "litert": ("linear_litert", "litert_linears"),
    "onnxruntime": ("linear_onnx", "onnx_linears"),
    "executorch": ("linear_executorch", "executorch_linears"),
    "openvino": ("linear_openvino", "openvino_linears"),
    "torch": ("linear_torch", "torch_linears"),
}
LEVELS = {"model": _model_cases, "linear": _linear_cases}


if __name__ == "__main__":
    main()
