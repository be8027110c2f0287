"""The walk over stages, tried: a fault in every layer of every target, at every stage; are stage and layer named?

A backbone is trained, a strategy of random widths drawn. In the file of each target every kind of fault is planted in every layer
(``mutations_planting`` makes the file). Then two channels are exchanged in every layer by the export itself: in the program, in what
the target makes of a right program, and in the file alone. Each goes through ``chordkit.export.stages.walk``, which must name the stage and
the layer. Faults that the gate of scores cannot see (a code that is one off) are planted in files alone, where bytes tell.

    python benchmarks/stages.py --data ml-100k --targets litert onnx native
    python benchmarks/stages.py --places file --out stages.md
"""

import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from mutations import CONTENDERS, asked_of_models, backbone_of, mixed
from mutations_faults import plant
from mutations_planting import Planter, Unplaceable
from stages_planting import KINDS, PLACES, planted, subject_of, traced_sparingly

from chordkit.backbones import make_master
from chordkit.data import load_named
from chordkit.errors import ChordkitError
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.assembly import vectors_from
from chordkit.export.parity import VectorSet
from chordkit.export.stages import ArtifactStages, walk
from chordkit.export.targets import find_target, lower
from chordkit.files import write_bytes
from chordkit.quantization import MasterWeights

FILE = "file"


@dataclass
class Tally:
    """What became of the faults of one kind at one place."""

    planted: int = 0
    stage: int = 0
    layer: int = 0
    suspected: int = 0
    none: int = 0
    seconds: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)


class Trial:
    """One target's walks."""

    def __init__(self, contender: str, master: MasterWeights, widths: np.ndarray, vectors: VectorSet) -> None:
        name, activations = CONTENDERS[contender]
        self.target = find_target(name)
        asked = ArtifactSpec(name, Precision.STRATEGY, vectors.candidates.shape[1], activations)
        self.spec = self.target.settle(asked, str(master.config["architecture"]), widths)
        self.master, self.widths, self.vectors = master, widths, vectors
        self.planter = Planter(self.spec, master, widths)

    def walked(self, data: bytes) -> ArtifactStages:
        return walk(subject_of(self.spec, self.master, self.widths, self.vectors, data))

    def in_file(self, kind: str, layer: str) -> ArtifactStages | None:
        """The walk over a file with a fault in it; None where the layer has no place for it."""
        wrong = plant(kind, self.planter.constants, np.random.default_rng(1), layer)
        if wrong is None:
            return None
        try:
            data = self.planter.faulty(wrong).data
        except (ChordkitError, Unplaceable):  # a code that its width does not hold is refused when the file is made
            return None
        return self.walked(data)

    def in_export(self, place: str, kind: str, layer: str) -> ArtifactStages:
        """The walk over what a faulty export gives."""
        with planted(place, self.target, kind, layer):
            right = subject_of(self.spec, self.master, self.widths, self.vectors, b"")
            return self.walked(right.make())


def one_export_each(lower: Callable[..., bytes]) -> Callable[..., bytes]:
    """``lower`` that makes the file of a model once: seconds each for ExecuTorch, and every search asks for the same ones."""
    made: dict[tuple[object, ...], bytes] = {}

    def kept(spec: ArtifactSpec, source: Any) -> bytes:
        key = (spec, source[0].digest, source[1].tobytes())
        if key not in made:
            made[key] = lower(spec, source)
        return made[key]

    return kept


def trials(trial: Trial, places: list[str]) -> Iterator[tuple[str, str, str, Callable[[], ArtifactStages | None]]]:
    """Place, kind and layer of each fault, and its walk."""
    for layer in trial.master.layers:
        if FILE in places:
            for kind in KINDS:
                yield FILE, kind, layer, lambda kind=kind, layer=layer: trial.in_file(kind, layer)
        if trial.target.traced:
            for place in (place for place in PLACES if place in places):
                yield place, KINDS[0], layer, lambda place=place, layer=layer: trial.in_export(place, KINDS[0], layer)


def run(trial: Trial, places: list[str], tell: Callable[[str], None]) -> dict[tuple[str, str], Tally]:
    """The tallies by place and kind."""
    found: dict[tuple[str, str], Tally] = defaultdict(Tally)
    right = trial.walked(trial.planter.right)
    if not right.passed:
        raise ChordkitError(f"the right file is not found right: {right.summary()}")
    kept = mock.patch("chordkit.export.stages.subject.lower", one_export_each(lower))
    for place, kind, layer, walked in trials(trial, places):
        tally, begun = found[place, kind], time.monotonic()
        # A faulty export gives other files for every fault, so that they cannot be kept.
        with kept if place == FILE else contextlib.nullcontext():
            result = walked()
        if result is None:
            tally.none += 1
            continue
        tally.planted += 1
        tally.seconds.append(time.monotonic() - begun)
        wanted = "serialised" if place == FILE else place
        tally.stage += result.first_bad == wanted
        tally.layer += result.first_bad == wanted and result.layer == layer
        tally.suspected += layer in result.suspects
        if (result.first_bad, result.layer) != (wanted, layer):
            tally.misses.append(f"{layer}: {result.summary()}")
        tell(f"{place}, {kind}, {layer}: {result.first_bad}, {result.layer}")
    return found


def table(found: dict[str, dict[tuple[str, str], Tally]]) -> str:
    """The tallies as Markdown."""
    lines = ["| target | planted in | fault | planted | stage named | layer named | seconds a walk |", "|---|---|---|---|---|---|---|"]
    misses = []
    for target, tallies in found.items():
        for (place, kind), tally in tallies.items():
            seconds = f"{np.median(tally.seconds):.1f}" if tally.seconds else ""
            lines.append(f"| {target} | {place} | {kind} | {tally.planted} | {tally.stage} | {tally.layer} | {seconds} |")
            misses += [f"- {target}, {place}, {kind}: {miss}" for miss in tally.misses]
    return "\n".join([*lines, "", *misses, ""])


def main() -> None:
    parser = asked_of_models(__doc__, histories=64, contenders=CONTENDERS)
    parser.add_argument("--places", nargs="+", default=[FILE, *PLACES], choices=[FILE, *PLACES])
    parser.add_argument("--out", type=Path, help="the table, Markdown")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_named(given.data)
    master = make_master(backbone_of(given.architecture, data, given.epochs, given.seed, given.backbone))
    widths = mixed(master.channel_table.channels, given.seed)
    length = int(master.config["max_length"])  # type: ignore[arg-type]
    vectors = vectors_from(data, length, histories=given.histories, candidates=100, seed=given.seed)
    found = {}
    for contender in given.targets:
        begun = time.monotonic()
        trial = Trial(contender, master, widths, vectors)
        with traced_sparingly():
            found[contender] = run(trial, given.places, lambda text, name=contender: print(f"{name}: {text}", file=sys.stderr, flush=True))
        print(f"{contender}: {time.monotonic() - begun:.0f} s", flush=True)
    text = table(found)
    print(text)
    if given.out is not None:
        write_bytes(given.out, text.encode())


if __name__ == "__main__":
    main()
