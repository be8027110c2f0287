"""The native engine against LiteRT, ONNX Runtime, ExecuTorch-XNNPACK, OpenVINO and PyTorch: one thread, one run, in turns.

    python benchmarks/kernels/peers.py [--quick] [--level model|linear] [--runtimes litert,openvino] [--rounds 300] [--json]

Model level: SASRec and Caser, 100 and 1,000 candidates, full and half-full histories, each peer with every file it can run (float32,
int8, a strategy at 3.0 bits), all of them the graph with the last block for the last position only. Linear level: single layers, int8
and at 3.0 bits. Every contender is first compared with the reference and the run ends if one is wrong; then all take turns on one
processor, inputs and outputs bound to fixed memory as far as the runtime's Python API allows. Ratios are medians of ratios within
a round, with a 95 % bootstrap interval over the rounds, against the fastest row of all peers. Runtimes that are not installed, and
what a runtime cannot do, are named. Exit status 0 whether or not a bar is met.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from contest import report
from contest.timing import pin

RUNTIMES = ("litert", "onnxruntime", "executorch", "openvino", "torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, 100 candidates, the small layers")
    parser.add_argument("--level", choices=(*LEVELS, "both"), default="both")
    parser.add_argument("--runtimes", default=",".join(RUNTIMES), help="peers to take part")
    parser.add_argument("--rounds", type=int, help="blocks of each contender (default 300, quick 40)")
    parser.add_argument("--json", action="store_true", help="everything on stdout as JSON; tables are left out")
    options = parser.parse_args()
    runtimes = tuple(options.runtimes.split(","))
    if unknown := set(runtimes) - set(RUNTIMES):
        parser.error(f"--runtimes: {', '.join(sorted(unknown))} is none of {', '.join(RUNTIMES)}")
    rounds = options.rounds or (40 if options.quick else 300)
    cpu = pin()
    torch.set_num_threads(1)
    result = report.header(cpu, rounds)
    if not options.json:
        print(report.header_text(result))
    for name, cases in LEVELS.items():
        if options.level in (name, "both"):
            for case in cases(runtimes, rounds, options.quick):
                result["cases"].append(case)
                if not options.json:
                    print(report.case_text(case), flush=True)
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print(report.summary_text(result["cases"]))


def _model_cases(runtimes, rounds, quick):
    from contest.compare import rows
    from contest.model import CONFIGS, model_case, model_peers
    from contest.model_engine import engine_contenders

    for name in CONFIGS:
        for candidates in (100,) if quick else (100, 1000):
            report.progress(f"{name}, {candidates} candidates: exporting, loading and checking")
            case, missing = model_case(name, candidates), {}
            contenders = engine_contenders(case) + model_peers(case, runtimes, missing)
            for row, history in ((0, "full"), (1, "half")):
                report.progress(f"{name}, {candidates} candidates, {history} history: measuring {len(contenders)} contenders")
                for contender in contenders:
                    contender.answers(case.inputs(range(row, row + 1)))
                about = {"level": "model", "model": name, "candidates": candidates, "history": history, "missing": missing}
                yield {**about, **rows(contenders, rounds)}


LEVELS = {"model": _model_cases}


if __name__ == "__main__":
    main()
