"""The parity gate, tried: deliberate faults in every target's files, and which of them the gate of bundles sees.

A backbone is trained (or read), a strategy of random widths drawn, and each target's right file made. Then so many faults a target are
drawn by seed over all kinds (``mutations_faults``: in what a file is made from; ``mutations_planting``: in the bytes of the finished file).
Each goes the way of every artifact: loaded on its real runtime, compared by ``chordkit.export.judge`` first over the vectors that travel in
a bundle, then, what those let pass, over those of the gate; what passes that too is offered to the bundle's writer.

    python benchmarks/mutations.py --data ml-100k --out docs/results/mutations.md
    python benchmarks/mutations.py --targets litert --faults 40
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mutations_faults import FAULTS, other_widths, plant
from mutations_planting import DAMAGE, Faulty, Planter, Unplaceable
from mutations_tables import Verdict, summary, tables

from chordkit.backbones import Backbone, default_config, make_master
from chordkit.data import Dataset, load_named
from chordkit.errors import CheckFailed, ChordkitError
from chordkit.export import bundle
from chordkit.export.artifact import Activations, ArtifactSpec, Layout, Precision
from chordkit.export.assembly import vectors_from
from chordkit.export.bundle import ArtifactContents, BundleContents, Provenance, dataset_section
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, VectorSet, references
from chordkit.export.parity.tolerance import emulation_limits
from chordkit.export.targets import find_target, load_runner
from chordkit.files import write_bytes
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy
from chordkit.training import default_options, load_backbone, save_backbone, train_backbone

CONTENDERS: dict[str, tuple[str, Activations]] = {
    "litert": ("litert", "fp32"),
    "litert, int8 activations": ("litert", "int8"),
    "onnx": ("onnx", "fp32"),
    "openvino": ("openvino", "fp32"),
    "executorch": ("executorch", "fp32"),
    "executorch-chord": ("executorch-chord", "int8"),
    "executorch-chord-linear": ("executorch-chord-linear", "int8"),
    "native": ("native", "int8"),
}
IN_BYTES: dict[str, tuple[str, Activations]] = {"litert, layout speed": ("litert", "fp32"), "onnx, layout speed": ("onnx", "fp32")}
STALE, FINGERPRINT = "stale strategy", "wrong fingerprint"
"""Kinds of their own: the file is right, and not the one that is wanted."""


def margin(report: ParityReport, inputs: int, recurrent: bool = False) -> tuple[float, str]:
    """The largest measured error over what is allowed, and which one it is."""
    limits = report.tolerance
    shares = {
        "rms": report.relative_rms_error / limits.relative_rms_error,
        "max": report.max_relative_error / limits.max_relative_error,
        "tau": (1 - report.kendall_tau) / (1 - limits.kendall_tau),
        "top-10": (1 - report.top10_overlap) / (1 - limits.top10_overlap),
        "NDCG": abs(report.ndcg_difference) / limits.ndcg_difference,
    }
    if report.emulation_rms_error is not None and report.emulation_max_error is not None:
        rms, most = emulation_limits(inputs, recurrent)
        shares |= {"emulation rms": report.emulation_rms_error / rms, "emulation max": report.emulation_max_error / most}
    if report.non_finite:
        shares["not finite"] = np.inf
    worst = max(shares, key=lambda name: shares[name])
    return shares[worst], worst


class Gate:
    """The way of an artifact into a bundle, for one target."""

    def __init__(self, contender: str, master: MasterWeights, widths: np.ndarray, drawn: VectorSet, few: int, dataset: Dataset) -> None:
        target, activations = (CONTENDERS | IN_BYTES)[contender]
        layout: Layout = "speed" if contender in IN_BYTES else "size"
        self.spec = ArtifactSpec(target, Precision.STRATEGY, drawn.candidates.shape[1], activations, layout=layout)
        self.planter = Planter(self.spec, master, widths)
        self.master, self.widths, self.dataset = master, widths, dataset
        self.scores_only = False
        strategy = Strategy(widths, master.fingerprint)
        self.strategy = strategy
        vectors = drawn.with_scores(references(master, None, {"user": strategy}))
        self.rounds = (vectors.head(few), vectors)
        self._emulated: dict[int, Any] = {}
        self.entry = ArtifactContents(
            name=f"{target}-user",
            target=target,
            precision="strategy",
            data=None,
            activations=activations,
            candidates=drawn.candidates.shape[1],
            strategy="user",
            layout=layout,
        )

    def emulated(self, vectors: VectorSet) -> Any:
        """What the right file should compute with 8-bit activations, computed once."""
        key = len(vectors.histories)
        if key not in self._emulated:
            target = find_target(self.spec.target)
            self._emulated[key] = target.emulate(self.spec.activations or "fp32", self.master, self.widths, vectors, self.entry.layout)
        return self._emulated[key]

    def judged(self, faulty: Faulty, vectors: VectorSet) -> ParityReport:
        """The verdict of the bundle's own judge."""
        emulated = self.emulated(vectors)
        with mock.patch.object(type(find_target(self.spec.target)), "emulate", lambda *_: emulated):
            asked = {"strategy": faulty.strategy, "candidates": self.spec.candidates, "master": self.master.to_bytes()}
            runner = load_runner(self.spec.target, faulty.data, **asked)
            return judge(self.entry, runner, self.master, self.widths, vectors, data=None if self.scores_only else faulty.data)

    def written(self, faulty: Faulty, report: ParityReport, strategy: Strategy) -> None:
        """Offer it to the bundle's writer."""
        data = None if self.spec.target == "native" else faulty.data
        contents = BundleContents(
            name="mutations",
            master=self.master,
            dataset=dataset_section(self.dataset),
            item_ids=list(self.dataset.item_ids),
            artifacts=[self.entry.model_copy(update={"data": data, "parity": report})],
            strategies={"user": strategy},
            vectors=self.rounds[0],
            provenance=Provenance(seed=0, commit=None, versions={}),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mutations.chord"
            bundle.write(path, contents)
            bundle.verify(path)

    def prepare(self) -> None:
        """Compute what all faults share, in the process that begets the others and loads no runtime."""
        assert self.planter.right and self.planter.constants.layers
        for vectors in self.rounds:
            self.emulated(vectors)

    def rehearse(self) -> None:
        """Let the right file through, so that whatever is refused later is refused for its fault.

        Raises:
            CheckFailed: the gate refuses the right file.
        """
        right = Faulty(self.planter.right, self.planter.strategy, "right")
        self.written(right, self.judged(right, self.rounds[0]).require(f"the right file of {self.entry.name}"), self.strategy)

    def verdict(self, number: int, kind: str, where: str, faulty: Faulty, strategy: Strategy | None = None) -> Verdict:
        """What becomes of it."""
        told = partial(Verdict, number, kind, where, faulty.how)
        report, found = None, (0.0, "")
        try:
            for vectors in self.rounds:
                report = self.judged(faulty, vectors)
                inputs = min(layer.rows.codes.shape[1] for layer in self.master.layers.values())
                found = margin(report, inputs)
                if not report.passed:
                    outcome = "red" if found[0] > 1 else "red by its constants"
                    break
            else:
                outcome = "passed"
                assert report is not None
                try:
                    self.written(faulty, report, strategy or self.strategy)
                except ChordkitError as error:
                    return told("refused by the writer", by=type(error).__name__, vectors=report.n)
        except ChordkitError as error:
            return told("refused by the runtime", by=type(error).__name__)
        return told(outcome, *found, vectors=report.n, rms=report.relative_rms_error, top10=report.top10_overlap)


def draw(count: int, seed: int) -> list[tuple[int, str, int]]:
    """Number, kind and seed of more faults than are wanted, for not every kind has a place in every file; kinds take turns."""
    kinds = [*FAULTS, *DAMAGE, STALE, FINGERPRINT]
    order = np.random.default_rng(seed).permutation(len(kinds))
    return [(number, kinds[order[number % len(kinds)]], seed * 100_000 + number) for number in range(2 * count)]


def made(gate: Gate, kind: str, seed: int) -> tuple[str, Faulty, Strategy | None] | None:
    """A fault of a kind: where, the file, and the strategy that goes with it; None where this model has no place for it.

    Raises:
        ChordkitError: what makes the file refuses it.
    """
    generator, planter = np.random.default_rng(seed), gate.planter
    if kind == STALE:
        widths, told = other_widths(gate.widths, generator)
        return told, planter.stale(widths), None
    if kind == FINGERPRINT:
        return planter.misnamed(generator)
    if kind in DAMAGE:
        source = planter.right
        data, told = DAMAGE[kind](source, generator)
        return None if data == source else (told, Faulty(data, planter.strategy, "damaged"), None)
    for _ in range(20):
        constants = plant(kind, planter.constants, generator)
        if constants is not None:
            try:
                return constants.where, planter.faulty(constants), None
            except Unplaceable:
                continue
    return None


def work(gate: Gate, todo: list[tuple[int, str, int]], pipe: Any) -> None:
    """Judge faults in a process of its own, which a damaged file may end."""
    torch.set_num_threads(1)  # those that the process before the fork had are not here, and torch would wait for them
    gate.rehearse()
    for number, kind, seed in todo:
        pipe.send(("begins", number, kind))
        try:
            found = made(gate, kind, seed)
        except ChordkitError as error:
            pipe.send(("is", Verdict(number, kind, str(error)[:80], "made", "refused when made", by=type(error).__name__)))
            continue
        if found is None:
            pipe.send(("none", number, kind))
            continue
        where, faulty, strategy = found
        pipe.send(("is", gate.verdict(number, kind, where, faulty, strategy)))


def run(gate: Gate, count: int, seed: int, tell: Callable[[Verdict], None] = lambda _: None) -> list[Verdict]:
    """The verdicts of so many faults that have a place; a process that breaks down is followed by another."""
    context, todo, verdicts = multiprocessing.get_context("fork"), draw(count, seed), []
    gate.prepare()
    while todo and len(verdicts) < count:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(gate, todo, there))
        process.start()
        there.close()
        begun: tuple[int, str] | None = None
        before = len(verdicts)
        last = todo[-1][0]
        while len(verdicts) < count:
            try:
                message, *rest = here.recv()
            except EOFError:
                break
            if message == "begins":
                begun = (rest[0], rest[1])
                continue
            if message == "is":
                verdicts.append(rest[0])
                tell(verdicts[-1])
            begun = None
        else:
            process.terminate()
        process.join()
        if begun is not None and len(verdicts) < count:
            last = begun[0]
            verdicts.append(Verdict(*begun, "", "damaged", "the runtime breaks down", by=f"exit status {process.exitcode}"))
            tell(verdicts[-1])
        if process.exitcode == 1 or (len(verdicts) == before and last == todo[-1][0]):
            raise CheckFailed(f"{gate.entry.name}: the right file does not get through, or no fault could be planted; see above")
        todo = [each for each in todo if each[0] > last]
    return verdicts


def backbone_of(architecture: str, data: Dataset, epochs: int, seed: int, kept: Path | None) -> Backbone:
    """A trained backbone, kept in a file where one is named."""
    if kept is not None and kept.exists():
        return load_backbone(kept)[0]
    options = default_options(architecture, epochs=epochs, seed=seed)
    backbone = train_backbone(data, default_config(architecture, data.items), options).backbone
    if kept is not None:
        save_backbone(kept, backbone, {})
    return backbone


def mixed(channels: int, seed: int) -> np.ndarray:
    """Widths of a strategy, 3.4 bits on average, some channels off."""
    return np.random.default_rng(seed).choice(np.array([0, 2, 4, 8], np.uint8), channels, p=[0.05, 0.5, 0.25, 0.2])


def asked_of_models(about: str | None, histories: int, contenders: Iterable[str]) -> argparse.ArgumentParser:
    """A parser of what model, data and targets a benchmark of faults is for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", help="a data set's name or path")
    parser.add_argument("--architecture", default="sasrec")
    parser.add_argument("--backbone", type=Path, help="kept here, or read from here")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--targets", nargs="+", default=list(contenders), choices=list(contenders))
    parser.add_argument("--histories", type=int, default=histories)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    parser = asked_of_models(__doc__, histories=1000, contenders=[*CONTENDERS, *IN_BYTES])
    parser.add_argument("--faults", type=int, default=200, help="a target")
    parser.add_argument("--vectors", type=int, default=64)
    parser.add_argument(
        "--scores-only", action="store_true", help="judge by scores alone, as until the constants were held against the master"
    )
    parser.add_argument("--out", type=Path, help="the table, Markdown; every verdict beside it as .jsonl")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_named(given.data)
    master = make_master(backbone_of(given.architecture, data, given.epochs, given.seed, given.backbone))
    widths = mixed(master.channel_table.channels, given.seed)
    drawn = vectors_from(data, int(master.config["max_length"]), histories=given.histories, candidates=100, seed=given.seed)  # type: ignore[arg-type]
    verdicts: dict[str, list[Verdict]] = {}
    for contender in given.targets:
        begun = time.monotonic()
        gate = Gate(contender, master, widths, drawn, given.vectors, data)
        gate.scores_only = given.scores_only
        verdicts[contender] = run(gate, given.faults, given.seed, lambda each: print(each, file=sys.stderr, flush=True))
        print(summary(contender, verdicts[contender]), f"({time.monotonic() - begun:.0f} s)", flush=True)
    text = tables(verdicts)
    print(text)
    if given.out is not None:
        lines = [json.dumps({"target": name, **asdict(each)}) for name, found in verdicts.items() for each in found]
        write_bytes(given.out.with_suffix(".jsonl"), "\n".join([*lines, ""]).encode())
        write_bytes(given.out, text.encode())


if __name__ == "__main__":
    main()
