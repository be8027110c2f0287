"""Stage by stage: from what a walk found to what the page shows."""

from chordkit.export.stages import StagesDocument, StageVerdict
from chordkit.report.model import Report, StagesSummary, StageSummary
from chordkit.report.parts import Bullets, Cell, Part, Section, Table, Words

_MARKS = {"right": "ok", "wrong": "no"}
_DASH = "–"


def stages_summaries(document: StagesDocument) -> list[StagesSummary]:
    """The stages of each artifact of a bundle, without the numbers that the artifacts' own table has."""
    return [
        StagesSummary(
            bundle=document.bundle,
            artifact=each.artifact,
            stages=[_summary(stage) for stage in each.stages],
            first_bad=each.first_bad,
            layer=each.layer,
            found_by=each.found_by,
        )
        for each in document.artifacts
    ]


def _summary(stage: StageVerdict) -> StageSummary:
    error = None if stage.report is None else stage.report.relative_rms_error
    return StageSummary(name=stage.name, what=stage.what, verdict=stage.verdict, relative_rms_error=error, reason=stage.reason)


def stages_section(report: Report) -> Section:
    """Which stages were looked at, how far each is from the reference, and where the first fault is."""
    walks = report.walks
    if not walks:
        return Section("stages", "", ())
    text = (
        "Every stage between the float model and the artifact on its runtime is held against the same reference: the PyTorch model with "
        "exactly the artifact's weights. The number is the root mean square of the error over the spread of the reference's scores. "
        f"The strategy changes the model on purpose, so its distance is told and not judged. {_DASH}: this artifact has no such stage, or "
        "it was not looked at."
    )
    names = [stage.name for stage in max(walks, key=lambda each: len(each.stages)).stages]
    rows = []
    for walk in walks:
        seen = {stage.name: _cell(stage) for stage in walk.stages}
        where = "" if walk.first_bad is None else walk.layer or "none alone"
        rows.append([Cell(walk.artifact, walk.bundle), *(seen.get(name, Cell("")) for name in names), Cell(where)])
    parts: list[Part] = [Words(text), Table("From the float model to the runtime", ("artifact", *names, "first bad layer"), rows)]
    if faults := [_fault(walk) for walk in walks if walk.first_bad is not None]:
        parts.append(Bullets(faults))
    return Section("stages", "Where does an artifact stop being its model?", parts)


def _cell(stage: StageSummary) -> Cell:
    if stage.verdict == "absent":
        return Cell(_DASH)
    measured = "" if stage.relative_rms_error is None else f"{stage.relative_rms_error:.1e}"
    return Cell("WRONG" if stage.verdict == "wrong" else stage.verdict, measured, _MARKS.get(stage.verdict, ""))


def _fault(walk: StagesSummary) -> str:
    reason = next((stage.reason for stage in walk.stages if stage.verdict == "wrong"), None)
    where = "" if walk.layer is None else f", first with {walk.layer}"
    by = "" if walk.found_by is None else f" Found by {walk.found_by}."
    return f"{walk.artifact}: the first bad stage is {walk.first_bad}{where}: {reason}.{by}"
