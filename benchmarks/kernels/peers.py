"""The native engine against LiteRT, ONNX Runtime, ExecuTorch-XNNPACK, OpenVINO and PyTorch: one thread, one run, in turns.

    python benchmarks/kernels/peers.py                                       # models, 100 candidates
    python benchmarks/kernels/peers.py --before 8b2ee98                      # and the engine of that commit, in the same turns
    python benchmarks/kernels/peers.py --model 'd = 128' --candidates 100 1000 --runtimes litert,openvino
    python benchmarks/kernels/peers.py --level linear                        # single layers

Model level: SASRec (64, 128 and 256 wide, one head and the default of two heads and norms last) and Caser, full and half histories, warm
and cold (64 MB are read before each call), each peer with every file it can be given: float32, int8, a strategy at 3.0 bits in both
layouts, all of them as the exporters make them (the last block for the last position only, its keys and values behind the attention),
and for half histories also those of a model of half the length. With ``--model`` also four blocks of L = 200. Linear level: single
layers, int8 and at 3.0 bits. Every contender is first compared with the reference: a wrong file of a whole model ends the run, a wrong
form of a layer is named and left out. Then all take turns on one processor, inputs and outputs bound to fixed memory as far as the
runtime's Python API allows; peers that take three times as long as the fastest at first sight are named and left out. Ratios are medians
of ratios within a round, with a 95 % bootstrap interval over the rounds, against the fastest row of all peers. What is not installed, and
what a runtime cannot do, is named. Exit status 0 whether or not a bar is met.
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
    parser.add_argument("--quick", action="store_true", help="few rounds, the small layers")
    parser.add_argument("--level", choices=(*LEVELS, "both"), default="model")
    parser.add_argument("--model", nargs="+", help="only models whose name holds one of these, or is =NAME; those of L = 200 among them")
    parser.add_argument("--candidates", nargs="+", type=int, default=[100], help="of the model level")
    parser.add_argument("--before", metavar="REVISION", help="a commit, or a built libchord.so, to measure in the same turns")
    parser.add_argument("--runtimes", default=",".join(LINEARS), help="peers to take part")
    parser.add_argument("--rounds", type=int, help="most blocks of each contender (default 300, quick 40)")
    parser.add_argument("--seconds", type=float, default=20.0, help="about the longest that a table's turns take, warm, and once more cold")
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
            for case in cases(options, runtimes, rounds):
                result["cases"].append(case)
                if not options.json:
                    print(report.case_text(case), flush=True)
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print(report.summary_text(result["cases"]))


def _model_cases(options: argparse.Namespace, runtimes: Collection[str], rounds: int) -> Iterator[dict[str, Any]]:
    from contest.compare import rows
    from contest.model import CONFIGS, LARGE, model_case
    from contest.model_engine import engine_contenders, revision_contenders
    from contest.model_files import model_peers

    def chosen(name: str) -> bool:
        if options.model is None:
            return name not in LARGE
        return any(part[1:] == name if part.startswith("=") else part in name for part in options.model)

    for name, candidates in ((name, candidates) for name in CONFIGS if chosen(name) for candidates in options.candidates):
        report.progress(f"{name}, {candidates} candidates: exporting, loading and checking")
        case, missing, missing_short, fastest = model_case(name, candidates), {}, {}, set()
        ours = engine_contenders(case) + (revision_contenders(case, options.before) if options.before else [])
        peers, short = model_peers(case, runtimes, missing), case.half()
        shorter = model_peers(short, runtimes, missing_short, f", L = {short.histories.shape[1]}") if short else []
        for row, history in ((0, "full"), (1, "half")):
            # A file for half the length does less than the same for all of it: beside it only what was fastest there takes part.
            others = peers if row == 0 or not shorter else [*shorter, *(each for each in peers if each.name in fastest)]
            report.progress(f"{name}, {candidates} candidates, {history} history: measuring {len(ours) + len(others)} contenders")
            for contender in ours + others:
                contender.answers(short.inputs(range(1)) if short and contender in shorter else case.inputs(range(row, row + 1)))
            about = {"level": "model", "model": name, "candidates": candidates, "history": history, "before": options.before}
            left_out = missing_short if row and shorter else missing
            found = rows(ours + others, left_out, rounds, cold_rounds=max(20, rounds // 5), seconds=options.seconds)
            fastest = {found["fastest_peer"], found["fastest_peer_cold"]}
            yield {**about, **found}


def _linear_cases(options: argparse.Namespace, runtimes: Collection[str], rounds: int) -> Iterator[dict[str, Any]]:
    from contest import linear
    from contest.compare import rows
    from contest.linear_native import native_linears

    for shape in (linear.SHAPES[0], linear.SHAPES[2]) if options.quick else linear.SHAPES:
        for bits in linear.BITS:
            name = f"linear {' x '.join(map(str, shape))}, {bits}"
            report.progress(f"{name}: building and checking")
            case, missing = linear.linear_case(*shape, bits), {}
            contenders = native_linears(case)
            for runtime in runtimes:
                contenders += _linears_of(runtime, case, missing)
            report.progress(f"{name}: measuring {len(contenders)} contenders")
            about = {"level": "linear", "rows": shape[0], "in": shape[1], "out": shape[2], "bits": bits}
            yield {**about, **rows(contenders, missing, rounds, max(3, rounds // 10), seconds=options.seconds)}


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
