"""What is walked over: an artifact, its file, and what both were made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from chordkit.backbones import Backbone, from_master
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision, find_precision
from chordkit.export.judge import expectation, judge
from chordkit.export.parity import FP32_TOLERANCE, ParityReport, Scores, ScoresFn, VectorSet, compare, reference_scores
from chordkit.export.targets import Runner, Source, Target, find_target, load_runner, lower
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, to_wire

Elsewhere = Callable[[Artifact, bytes, bytes | None, VectorSet], Scores]
"""Another machine: an artifact, its file, its strategy in wire form for a target without files, inputs -> scores there."""

FEW = 64
"""Rows for what runs in Python, or many times."""


@dataclass(frozen=True)
class Subject:
    """One artifact.

    Attributes:
        artifact: what it is.
        data: its file; for a target without files the master weights.
        master: the master weights.
        strategy: the one that it was made with; None = int8 everywhere, or fp32.
        backbone: the float model behind the master; None = not known, and then an fp32 artifact cannot be made again.
        vectors: inputs, with the scores of the artifact's reference.
    """

    artifact: Artifact
    data: bytes
    master: MasterWeights
    strategy: Strategy | None
    backbone: Backbone | None
    vectors: VectorSet

    @property
    def target(self) -> Target:
        return find_target(self.artifact.target)

    @property
    def widths(self) -> np.ndarray:
        """Of all channels."""
        return np.full(self.master.channel_table.channels, 8, np.uint8) if self.strategy is None else self.strategy.widths

    @property
    def is_float(self) -> bool:
        return find_precision(self.artifact.precision) is Precision.FP32

    @property
    def gives_scores(self) -> bool:
        """Whether a call takes one history and gives all its candidates' scores, which is what every stage can be asked for."""
        return (self.artifact.top, self.artifact.batch, self.artifact.catalogue) == (None, 1, False)

    @property
    def plain(self) -> Subject:
        """The same model in an artifact whose call takes one history and gives all its candidates' scores."""
        if self.gives_scores:
            return self
        candidates = self.vectors.candidates.shape[1]
        return replace(
            self, artifact=self.artifact.model_copy(update={"top": None, "batch": 1, "catalogue": False, "candidates": candidates})
        )

    @property
    def source(self) -> Source | None:
        """What the artifact is made from; None = it is not known here."""
        return self.backbone if self.is_float else (self.master, self.widths)

    @cached_property
    def master_model(self) -> Backbone:
        """The PyTorch model with int8 weights everywhere."""
        return from_master(self.master)

    @property
    def has_file(self) -> bool:
        return self.target.capability.suffix is not None

    @property
    def wire(self) -> bytes | None:
        """The strategy of a target that takes one beside its file."""
        return None if self.strategy is None or self.has_file else to_wire(self.strategy)

    @property
    def spec(self) -> ArtifactSpec:
        """What was asked for when it was made."""
        made = self.artifact
        precision = find_precision(made.precision)
        return ArtifactSpec(
            made.target,
            precision,
            made.candidates,
            made.activations,
            made.user_vector,
            made.runtime,
            None if self.is_float else made.layout,
            made.top,
            made.batch,
            made.catalogue,
        )

    @cached_property
    def settled(self) -> ArtifactSpec:
        """The spec as a target's own methods take it."""
        return self.target.settle(self.spec, str(self.master.config["architecture"]), None if self.is_float else self.widths)

    @cached_property
    def reference(self) -> ScoresFn:
        """The scores of the PyTorch model, made anew."""
        if self.is_float:
            assert self.backbone is not None
            return reference_scores(self.backbone)
        return reference_scores(from_master(self.master, self.widths))

    @cached_property
    def layers(self) -> list[str]:
        """The layers of the strategy, in the order of the channel table."""
        return list(self.master.layers)

    def few(self) -> VectorSet:
        """The first rows of the inputs."""
        return self.vectors.head(FEW)

    def with_widths(self, widths: np.ndarray) -> Subject:
        """The same artifact of another strategy, over few inputs with the scores that it must give."""
        strategy = Strategy(widths, self.master.fingerprint)
        scores = reference_scores(from_master(self.master, widths))
        vectors = replace(self.few(), scores={}).with_scores({self.artifact.reference: scores})
        return replace(self, strategy=strategy, vectors=vectors)

    def make(self) -> bytes:
        """The file, made again."""
        if not self.has_file:
            return self.master.to_bytes()
        assert self.source is not None
        return lower(self.spec, self.source)

    def judge(self, scores: Scores, vectors: VectorSet) -> ParityReport:
        """Hold what an artifact of this kind computes against the reference."""
        return expectation(self.artifact, self.master, None if self.strategy is None else self.widths, vectors).judge(scores)

    def judge_loaded(self, data: bytes) -> ParityReport:
        """Hold a file, on its runtime, against the reference, as the gate does, whatever a call takes and gives.

        Raises:
            ChordkitError: the runtime refuses the file.
        """
        return judge(self.artifact, self._runner(data), self.master, None if self.strategy is None else self.widths, self.vectors)

    def _runner(self, data: bytes) -> Runner:
        master = self.master.to_bytes() if self.target.capability.master else None
        return load_runner(self.artifact.target, data, strategy=self.wire, candidates=self.artifact.candidates, master=master)

    def judge_exact(self, scores: Scores, vectors: VectorSet) -> ParityReport:
        """Hold a model with float activations against the reference."""
        reference = np.asarray(vectors.scores[self.artifact.reference])
        return compare(scores, reference, FP32_TOLERANCE.for_few(*scores.shape), targets=vectors.targets)
