"""The artifacts that every version of every runtime is tried on: of fixed weights, so that the same code makes the same bytes."""

import functools
import hashlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chordkit
from chordkit.backbones import ARCHITECTURES, Backbone, build, initialise, make_master
from chordkit.errors import CapabilityError
from chordkit.export.artifact import Activations, Artifact, ArtifactSpec, Layout, Precision
from chordkit.export.judge import Expectation, expectation
from chordkit.export.parity import VectorSet, draw, reference_scores, references
from chordkit.export.targets import all_targets, find_target, lower
from chordkit.export.targets.profiles import profiles_of
from chordkit.files import write_bytes
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy

ITEMS, CANDIDATES, HISTORIES = 300, 50, 48
LENGTHS = {"sasrec": 30, "caser": 20, "gru4rec": 12}
"""Slots of a history: a recurrence is unrolled over them, so that of GRU4Rec stays short."""
DIMS = {"sasrec": (32, 64, 128), "caser": (32, 64), "gru4rec": (64,)}
MIXED = (0, 2, 4, 8)
ALONE = ((4, 8), (2, 8), (0, 8))
"""Strategies with one width beside int8: which of them it is that a runtime does not know."""


@dataclass(frozen=True, order=True)
class Trial:
    """One artifact that is tried.

    Attributes:
        target: whose file it is.
        backbone: its architecture; dim: of the backbone.
        precision: of the weights; widths: of the channels, () for fp32.
        activations: what quantised layers compute with.
        layout: how the file stores what is narrower than int8.
        embedding_bits: of the item table.
        user_vector: whether it takes one.
        runtime: the profile that it was made for; "" = the target's own.
    """

    target: str
    backbone: str
    dim: int
    precision: str
    widths: tuple[int, ...] = ()
    activations: Activations = "fp32"
    layout: Layout = "size"
    embedding_bits: int = 8
    user_vector: bool = False
    runtime: str = ""

    @property
    def name(self) -> str:
        """Unique among trials, and a file's name."""
        widths = "".join(map(str, self.widths)) or "f"
        more = ("-user" if self.user_vector else "") + (f"-{self.runtime}" if self.runtime else "")
        return (
            f"{self.target}-{self.backbone}-{self.dim}-{self.precision}-w{widths}-a{self.activations}-{self.layout}"
            f"-e{self.embedding_bits}{more}"
        )


@dataclass(frozen=True)
class Made:
    """An artifact, its inputs and what it is held to.

    Attributes:
        trial: what it is.
        data: the file.
        vectors: inputs, with the scores of its reference.
        hold: makes what it is held to, which takes longer than loading a file; most that refuse never need it.
    """

    trial: Trial
    data: bytes
    vectors: VectorSet
    hold: Callable[[], Expectation]

    @functools.cached_property
    def expected(self) -> Expectation:
        """What it is held to."""
        return self.hold()

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What the worker is given, by the name of the artifact's input."""
        users = {} if self.vectors.users is None else {"user": self.vectors.users}
        return {"history": self.vectors.histories, "candidates": self.vectors.candidates, **users}

    @property
    def key(self) -> str:
        """Of the file and its inputs: a verdict that was found for it stays true as long as this does."""
        crc = zlib.crc32(self.data)
        for array in (*self.inputs.values(), *self.vectors.scores.values()):
            crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
        return f"{crc:08x}-{len(self.data)}"


def trials(target: str) -> list[Trial]:
    """Everything that is tried of a target."""
    can = find_target(target).capability
    layouts = can.layouts
    found: list[Trial] = []

    def quantised(backbone: str, dim: int, precision: str, widths: tuple[int, ...], **more: Any) -> Iterable[Trial]:
        for activations in can.activations:
            yield Trial(target, backbone, dim, precision, widths, activations, **more)

    for backbone, dims in DIMS.items():
        for dim in dims:
            found.append(Trial(target, backbone, dim, "fp32"))
            for layout in layouts:
                found += quantised(backbone, dim, "int8", (8,), layout=layout)
                found += quantised(backbone, dim, "strategy", MIXED, layout=layout)
    for widths in ALONE:
        found += quantised("sasrec", 32, "strategy", widths)
    found.append(Trial(target, "sasrec", 32, "fp32", user_vector=True))
    for layout in layouts:
        found.append(Trial(target, "sasrec", 32, "strategy", MIXED, can.activations[0], layout, user_vector=True))
        found += quantised("sasrec", 32, "int8", (8,), layout=layout, embedding_bits=4)
    for profile in profiles_of(target):
        for backbone in DIMS:
            more: dict[str, Any] = {"layout": profile.layouts[0], "runtime": profile.name}
            found.append(Trial(target, backbone, 64, "fp32", runtime=profile.name))
            for activations in profile.activations:
                found.append(Trial(target, backbone, 64, "int8", (8,), activations, **more))
                found.append(Trial(target, backbone, 64, "strategy", MIXED, activations, **more))
    return [trial for trial in found if Precision(trial.precision) in can.precisions]


def make(trial: Trial, kept: Path | None = None) -> Made:
    """The artifact of a trial, its inputs and what it is held to.

    Args:
        trial: what it is.
        kept: a folder of files that this source made before.

    Raises:
        CapabilityError: chordkit does not make it.
    """
    backbone, master = _model(trial.backbone, trial.dim), _master(trial.backbone, trial.dim, trial.embedding_bits)
    precision = Precision(trial.precision)
    widths = _widths(master, trial.widths)
    spec = ArtifactSpec(
        trial.target, precision, CANDIDATES, trial.activations, trial.user_vector, runtime=trial.runtime or None, layout=trial.layout
    )
    file = None if kept is None else kept / source_digest() / trial.name
    if file is not None and file.exists():
        data = file.read_bytes()
    else:
        data = lower(spec, backbone if precision is Precision.FP32 else (master, widths))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(file, data)
    personal = precision is Precision.STRATEGY
    artifact = Artifact(
        name=trial.name,
        target=trial.target,
        precision=trial.precision,
        activations=trial.activations,
        candidates=CANDIDATES,
        layout=trial.layout,
        strategy="mix" if personal else None,
        user_vector=trial.user_vector,
    )
    strategies = {"mix": Strategy(widths, master.fingerprint)} if personal else {}
    scores = reference_scores(backbone) if precision is Precision.FP32 else references(master, None, strategies)[artifact.reference]
    vectors = _vectors(trial.backbone, trial.dim)
    if trial.user_vector:
        generator = np.random.default_rng(7)
        vectors = vectors.with_users([generator.normal(0, 0.3, trial.dim).astype(np.float32) for _ in range(2)])
    vectors = vectors.with_scores({artifact.reference: scores})
    return Made(trial, data, vectors, lambda: expectation(artifact, master, widths if personal else None, vectors))


@functools.cache
def source_digest() -> str:
    """Of all that decides what a file's bytes are: chordkit's modules, this one, and the packages that lower."""
    package = Path(chordkit.__file__).parent
    modules = sorted(path for top in ("backbones", "export", "quantization", "strategy") for path in (package / top).rglob("*.py"))
    digest = hashlib.sha256()
    for path in (*modules, Path(__file__)):
        digest.update(path.read_bytes())
    for target in all_targets():
        digest.update(str(target.requires()).encode())
    return digest.hexdigest()[:16]


def makeable(trial: Trial, kept: Path) -> Made | str:
    """The artifact of a trial, or why chordkit does not make it; as in :func:`make`."""
    try:
        return make(trial, kept)
    except CapabilityError as error:
        return str(error)


@functools.cache
def _model(name: str, dim: int) -> Backbone:
    """A random backbone whose layers all have their say in the scores, and whose attention is no sharper than a trained one's."""
    import torch

    architecture = ARCHITECTURES[name]
    own = {"hidden": dim} if name == "gru4rec" else {}
    config = architecture.config(items=ITEMS, max_length=LENGTHS[name], dim=dim, **own)
    backbone = initialise(build(config), "random", distribution="normal", seed=5).eval()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, 0.6 * layer.in_features**-0.5, generator=generator)
        backbone.item_embedding.weight[1:].normal_(0, 1, generator=generator)
    return backbone


@functools.cache
def _master(name: str, dim: int, embedding_bits: int) -> MasterWeights:
    return make_master(_model(name, dim), embedding_bits=embedding_bits)


def _widths(master: MasterWeights, widths: tuple[int, ...]) -> np.ndarray:
    channels = master.channel_table.channels
    return np.random.default_rng(3).choice(np.array(widths or (8,), np.uint8), channels)


@functools.cache
def _vectors(name: str, dim: int) -> VectorSet:
    """Histories of every length, from one item to a full window."""
    generator = np.random.default_rng([1, dim])
    length = LENGTHS[name]
    histories = generator.integers(1, ITEMS + 1, (HISTORIES, length)).astype(np.int32)
    for row in range(HISTORIES // 2):
        histories[row, : generator.integers(0, length)] = 0
    targets = generator.integers(1, ITEMS + 1, HISTORIES).astype(np.int32)
    return draw(histories, targets, ITEMS, count=HISTORIES, candidates=CANDIDATES)
