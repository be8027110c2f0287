"""What channels that are off save in the files of stock runtimes: the tables of docs/results/off-channels.md.

    python benchmarks/off_channels_files.py [--dims 64 128 256] [--heads 2] [--widths 8] [--targets litert litert:int8 ...]

Random weights with biases, exactly so many channels of the whole model on, drawn at random. Of each strategy there are the file as it is
exported, the same with zeros in the place of the channels that are off, and the one of layout speed. Each is first judged by the gate,
constants included. All files of a target and a size take turns, in an order drawn anew in each round, from Python, one thread; a time is
the shortest mean of five calls.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.export.artifact import Artifact, ArtifactSpec
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, VectorSet, draw, references
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy

ITEMS, LENGTH, CANDIDATES, CALLS = 3707, 50, 100, 5
SHARES = (1.0, 0.375, 0.25)
TARGETS = ("litert", "litert:int8", "onnx", "openvino", "executorch")
FORMS = ("left out", "zeros", "speed")


@dataclass
class File:
    """One file of a strategy, loaded."""

    share: float
    form: str
    data: bytes
    runner: object
    report: ParityReport


def make_master_of(dim: int, heads: int) -> MasterWeights:
    torch.manual_seed(5)
    backbone = build(SASRecConfig(items=ITEMS, dim=dim, max_length=LENGTH, heads=heads, ffn_dim=dim, norm_first=True))
    with torch.no_grad():
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, layer.in_features**-0.5)
            layer.bias.normal_(0, 0.1)
        backbone.item_embedding.weight[1:].normal_(0, 1)
    return make_master(backbone)


def widths_of(master: MasterWeights, share: float, on: list[int]) -> np.ndarray:
    generator = np.random.default_rng(0)
    channels = master.channel_table.channels
    widths = generator.choice(np.array(on, np.uint8), channels)
    widths[generator.permutation(channels)[round(share * channels) :]] = 0
    return widths


def vectors_of(master: MasterWeights, widths: np.ndarray) -> VectorSet:
    generator = np.random.default_rng(1)
    histories, targets = generator.integers(1, ITEMS + 1, (100, LENGTH)), generator.integers(1, ITEMS + 1, 100)
    drawn = draw(histories, targets, ITEMS, count=100, candidates=CANDIDATES)
    return drawn.with_scores(references(master, None, {"user": Strategy(widths, master.fingerprint)}))


def with_zeros(spec: ArtifactSpec, master: MasterWeights, widths: np.ndarray) -> bytes:
    """The file as it would be if nothing were left out."""
    with mock.patch("chordkit.export.program.without_off_channels", lambda program: program):
        return lower(spec, (master, widths))


def files_of(target: str, activations: str, master: MasterWeights, on: list[int]) -> Iterator[File]:
    for share in SHARES:
        widths = widths_of(master, share, on)
        vectors = vectors_of(master, widths)
        for form in FORMS:
            layout = "speed" if form == "speed" else "size"
            if (form == "zeros" and share == 1) or layout not in find_target(target).capability.layouts:
                continue
            spec = ArtifactSpec(target, "strategy", CANDIDATES, activations=activations, layout=layout)
            data = lower(spec, (master, widths)) if form != "zeros" else with_zeros(spec, master, widths)
            # A file that holds the channels that are off quantises their constants too, as those of the layout speed do.
            held = "size" if form == "left out" else "speed"
            fields = {"activations": activations, "candidates": CANDIDATES, "strategy": "user", "layout": held}
            artifact = Artifact(name="file", target=target, precision="strategy", **fields)
            runner = load_runner(target, data)
            yield File(share, form, data, runner, judge(artifact, runner, master, widths, vectors, data=data))


def times_of(files: list[File], rounds: int) -> list[float]:
    """Microseconds a call of each."""
    generator = np.random.default_rng(2)
    histories = generator.integers(1, ITEMS + 1, (32, LENGTH)).astype(np.int32)
    candidates = generator.integers(1, ITEMS + 1, (32, CANDIDATES)).astype(np.int32)
    spent: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for place in generator.permutation(len(files)):
            scores = files[place].runner.scores
            chosen = generator.integers(0, 32, CALLS + 1)
            scores(histories[chosen[0]], candidates[chosen[0]])
            begun = time.perf_counter_ns()
            for row in chosen[1:]:
                scores(histories[row], candidates[row])
            spent[place].append((time.perf_counter_ns() - begun) / CALLS / 1000)
    return [min(each) for each in spent]


def main(arguments: argparse.Namespace) -> None:
    shares = [f"{share:.1%} on, {form}, us" for share in SHARES[1:] for form in ("left out", "zeros")]
    heads = ["target", "d", "all on, us", *shares, "speed, us", "all on, bytes", *(f"{share:.1%} on, bytes" for share in SHARES[1:])]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in arguments.targets:
        target, _, activations = name.partition(":")
        for dim in arguments.dims:
            files = list(files_of(target, activations or "fp32", make_master_of(dim, arguments.heads), arguments.widths))
            found = {(each.share, each.form): (each, us) for each, us in zip(files, times_of(files, arguments.rounds), strict=True)}
            whole = found[1.0, "left out"][1]
            us = [found[key][1] for key in [(share, form) for share in SHARES[1:] for form in ("left out", "zeros")]]
            speed = found.get((SHARES[-1], "speed"))
            cells = [
                name,
                str(dim),
                f"{whole:.1f}",
                *(f"{each:.1f} ({each / whole:.2f} x)" for each in us),
                f"{speed[1]:.1f}" if speed else "",
            ]
            cells += [f"{len(found[share, 'left out'][0].data):,}" for share in SHARES]
            print("| " + " | ".join(cells) + " |", flush=True)
            for (share, form), (each, _) in found.items():
                verdict = "passed" if each.report.passed else "; ".join(each.report.reasons)
                error = f"error {each.report.relative_rms_error:.1e}, of the emulation {each.report.emulation_rms_error}"
                print(f"{name}, d = {dim}, {share:.1%}, {form}: {error}: {verdict}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--widths", type=int, nargs="+", default=[8], help="of channels that are on")
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    parser.add_argument("--rounds", type=int, default=150)
    main(parser.parse_args())
