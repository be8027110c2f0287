"""Where does it go wrong? The steps from the float model to the artifact, each held against the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chordkit.export.parity.compare import (
    Ids,
    ParityReport,
    Runner,
    ScoresFn,
    Vectors,
    compare,
    run_all,
)
from chordkit.export.parity.tolerance import FP32_TOLERANCE, INT8_ACTIVATION_TOLERANCE, Tolerance

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from chordkit.backbones import Backbone
    from chordkit.quantization import MasterWeights


@dataclass(frozen=True)
class Stage:
    """One step from the float model to the artifact: its scores, and what they are held against.

    ``tolerance`` None: the step changes the model on purpose (a strategy), so its distance is told but not judged.
    """

    name: str
    scores: ScoresFn
    tolerance: Tolerance | None


class StageResult(BaseModel):
    """How far a stage is from the stage before it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    judged: bool
    report: ParityReport


def walk_stages(
    stages: Sequence[Stage], histories: Ids, candidates: Ids, k: int = 10, users: Vectors | None = None
) -> tuple[StageResult, ...]:
    """Compare each stage with the one before it, from the float model to the artifact; stops after the first bad one.

    With ``users [n, dim]`` every stage runs with these user vectors.

    The last result is the first bad stage, or every result passed.
    """
    results: list[StageResult] = []
    inputs = (histories, candidates) if users is None else (histories, candidates, users)
    before = np.asarray(stages[0].scores(*inputs))
    for stage in stages[1:]:
        now = np.asarray(stage.scores(*inputs))
        results.append(
            StageResult(
                name=stage.name,
                judged=stage.tolerance is not None,
                report=compare(now, before, stage.tolerance or INT8_ACTIVATION_TOLERANCE, k=k),
            )
        )
        if stage.tolerance is not None and not results[-1].report.passed:
            break
        if not np.isfinite(now).all():
            break
        before = now
    return tuple(results)


def first_bad_stage(results: Sequence[StageResult]) -> str | None:
    """Name of the first judged stage that missed its tolerance, or None."""
    return next((result.name for result in results if result.judged and not result.report.passed), None)


def stages_to(
    runner: Runner,
    tolerance: Tolerance,
    *,
    backbone: "Backbone | None" = None,
    master: "MasterWeights | None" = None,
    widths: NDArray[np.uint8] | None = None,
    program: "ExportedProgram | None" = None,
) -> list[Stage]:
    """The way from the float model to an artifact: float, int8 master, strategy, exported program, artifact.

    Steps whose model is not given are left out; at least one of ``backbone`` and ``master`` must be. ``tolerance`` is the
    artifact's own. The int8 master is judged like 8-bit activations: its weights have the same noise, 44 dB, as those.
    """
    from chordkit.backbones import from_master
    from chordkit.export.parity.reference import reference_scores, reranker_scores

    stages = [] if backbone is None else [Stage("float", reference_scores(backbone), None)]
    if master is not None:
        stages.append(Stage("master", reference_scores(from_master(master)), INT8_ACTIVATION_TOLERANCE))
        if widths is not None:
            stages.append(Stage("strategy", reference_scores(from_master(master, widths)), None))
    if program is not None:
        stages.append(Stage("program", reranker_scores(program.module()), FP32_TOLERANCE))
    stages.append(Stage("artifact", lambda *inputs: run_all(runner, *inputs), tolerance))
    return stages
