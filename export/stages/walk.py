"""The walk over the stages of one artifact."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chordkit.errors import CapabilityError, CheckFailed, ChordkitError
from chordkit.export.parity import INT8_ACTIVATION_TOLERANCE, ParityReport, VectorSet, compare, reference_scores, reranker_scores
from chordkit.export.program import export_program
from chordkit.export.stages.content import Difference, find_difference
from chordkit.export.stages.layers import Found, Run, search
from chordkit.export.stages.parts import altered, first_difference, part_names
from chordkit.export.stages.results import ArtifactStages, StageName, StageVerdict
from chordkit.export.stages.subject import Elsewhere, Subject
from chordkit.progress import Progress

_NO_FLOATS = "an fp32 artifact is made from the float backbone; give it (--backbone)"
_NOT_ASKED = "not asked for (--arm64)"
_PLAIN = ", without the choice of the best and for one history"


def walk(subject: Subject, elsewhere: Elsewhere | None = None, progress: Progress | None = None) -> ArtifactStages:
    """Look at the stages of an artifact in order, up to the first that is wrong, and search there for the first bad layer.

    Args:
        subject: the artifact, and what it was made from.
        elsewhere: runs a file on arm64; None = that stage is not looked at.
        progress: called with (phase, done, total).

    Raises:
        MissingRuntimeError: a package of the target is not installed.
    """
    steps = _Walk(subject, elsewhere)
    names = list(_STAGES)
    stages: list[StageVerdict] = []
    for done, name in enumerate(names):
        if progress is not None:
            progress(f"{subject.artifact.name}: {name}", done, len(names))
        verdict = _STAGES[name](steps)
        stages.append(verdict)
        if verdict.verdict == "wrong":
            break
    if progress is not None:
        progress(f"{subject.artifact.name}: done", len(names), len(names))
    return steps.result(stages)


@dataclass
class _Walk:
    """What the stages of one walk leave for each other."""

    subject: Subject
    elsewhere: Elsewhere | None
    difference: Difference | None = None
    fresh: bytes | None = None
    found: dict[StageName, Found] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return self.subject.artifact.target

    def result(self, stages: list[StageVerdict]) -> ArtifactStages:
        bad = next((stage.name for stage in stages if stage.verdict == "wrong"), None)
        found = None if bad is None else self.found.get(bad)
        return ArtifactStages(
            artifact=self.subject.artifact.name,
            target=self.target,
            stages=tuple(stages),
            first_bad=bad,
            layer=None if found is None else found.layer,
            suspects=() if found is None else found.suspects,
            found_by=None if found is None else found.by,
        )

    def from_report(self, name: StageName, what: str, report: ParityReport) -> StageVerdict:
        reason = None if report.passed else "; ".join(report.reasons)
        return StageVerdict(name=name, what=what, verdict="right" if report.passed else "wrong", reason=reason, report=report)

    # --- the stages ---------------------------------------------------------------------------------------------------

    def master(self) -> StageVerdict:
        what = "the int8 master weights against the float backbone"
        subject = self.subject
        if subject.is_float:
            return _absent("master", what, "an fp32 artifact is made without them")
        if subject.backbone is None:
            return _absent("master", what, "the float backbone is not given (--backbone)")
        inputs = subject.vectors.inputs
        floats = np.asarray(reference_scores(subject.backbone)(*inputs))
        scores = np.asarray(reference_scores(subject.master_model)(*inputs))
        report = compare(scores, floats, INT8_ACTIVATION_TOLERANCE.for_few(*scores.shape), targets=subject.vectors.targets)
        part = first_difference(subject.backbone, subject.master)
        if part is None:
            return self.from_report("master", what, report)
        self.found["master"] = Found(part, (), "its codes and scales beside those of the float weights at 8 bits")
        reason = f"{part} is not the float backbone's at 8 bits"
        return StageVerdict(name="master", what=what, verdict="wrong", reason=reason, report=report)

    def strategy(self) -> StageVerdict:
        what = "the strategy's widths against int8 everywhere"
        subject = self.subject
        if subject.strategy is None:
            return _absent("strategy", what, "the artifact has no strategy")
        inputs = subject.vectors.inputs
        before = np.asarray(reference_scores(subject.master_model)(*inputs))
        report = compare(np.asarray(subject.reference(*inputs)), before, INT8_ACTIVATION_TOLERANCE, targets=subject.vectors.targets)
        return StageVerdict(name="strategy", what=what, verdict="told", report=report)

    def reference(self) -> StageVerdict:
        what = "the reference scores that travel against the PyTorch model made now"
        subject = self.subject
        if subject.source is None:
            return _absent("reference", what, _NO_FLOATS)
        scores = np.asarray(subject.reference(*subject.vectors.inputs))
        return self.from_report("reference", what, subject.judge_exact(scores, subject.vectors))

    def program(self) -> StageVerdict:
        what = "the program of torch.export, run in torch"
        subject = self.subject
        if not subject.target.traced:
            return _absent("program", what, f"{self.target} takes the master weights and a strategy as they are")
        if subject.source is None:
            return _absent("program", what, _NO_FLOATS)
        return self._run("program", what + self._plain, _program)

    def lowered(self) -> StageVerdict:
        form = self.subject.target.lowered_form
        if form is None:
            return _absent("lowered", "what is about to be serialised", f"{self.target} has no form in between that can be run")
        if self.subject.source is None:
            return _absent("lowered", form, _NO_FLOATS)
        try:
            return self._run("lowered", form + self._plain, _lowered)
        except CapabilityError as error:
            return _absent("lowered", form, str(error))

    def serialised(self) -> StageVerdict:
        what = "the file's bytes against those that the export gives now"
        subject = self.subject
        if subject.source is None:
            return _absent("serialised", what, _NO_FLOATS)
        self.fresh = subject.make()
        if self.fresh == subject.data:
            return StageVerdict(name="serialised", what=what, verdict="right")
        source = subject.source

        def make(parts: Sequence[str]) -> bytes:
            changed = altered(source, parts)
            if isinstance(changed, tuple):
                return replace(subject, master=changed[0]).make()
            return replace(subject, backbone=changed).make()

        self.difference = find_difference(subject.data, self.fresh, part_names(source), make)
        if self.difference.part is not None:
            self.found["serialised"] = Found(self.difference.part, (), "the bytes that change in the file when a part is changed")
            return StageVerdict(name="serialised", what=what, verdict="wrong", reason=self.difference.note)
        return self._other_bytes(what, self.difference.note)

    def loaded(self) -> StageVerdict:
        what = f"the file on {self.subject.target.required_runtime() or 'the engine'}, {platform.machine()}"
        try:
            return self._run("loaded", what, _loaded, whole=lambda subject: subject.judge_loaded(subject.data))
        except ChordkitError as error:
            return StageVerdict(name="loaded", what=what, verdict="wrong", reason=str(error))

    def arm64(self) -> StageVerdict:
        what = "the file on the same runtime for arm64, emulated"
        elsewhere, subject = self.elsewhere, self.subject
        if elsewhere is None:
            return _absent("arm64", what, _NOT_ASKED)
        if not subject.gives_scores:
            return _absent("arm64", what, "the program that runs files there asks one history at a time for all scores")

        def run(changed: Subject, data: bytes | None = None) -> ParityReport:
            file = changed.make() if data is None else bytes(data)
            return changed.judge(elsewhere(changed.artifact, file, changed.wire, changed.vectors), changed.vectors)

        try:
            return self._run("arm64", what, run, whole=lambda whole: run(whole, whole.data))
        except CapabilityError as error:
            return _absent("arm64", what, str(error))
        except CheckFailed as error:
            return StageVerdict(name="arm64", what=what, verdict="wrong", reason=str(error))

    # --- parts of them ------------------------------------------------------------------------------------------------

    @property
    def _plain(self) -> str:
        """What to add to a stage that looks at the plain form of an artifact."""
        return "" if self.subject.gives_scores else _PLAIN

    def _run(self, name: StageName, what: str, run: Run, *, whole: Run | None = None) -> StageVerdict:
        """Judge a stage, with ``whole`` over all inputs and the file as it is, and where it is wrong search for the layer."""
        subject = self.subject
        report = run(replace(subject, vectors=subject.few())) if whole is None else whole(subject)
        verdict = self.from_report(name, what, report)
        if verdict.verdict == "wrong" and subject.source is not None:
            self.found[name] = search(subject, run)
        return verdict

    def _other_bytes(self, what: str, note: str) -> StageVerdict:
        """A file with the right weights in other bytes is wrong where it gives wrong scores and the one that the export gives does not."""
        assert self.fresh is not None
        few = self.subject.few()
        if self._right(self.subject.data, few):
            return StageVerdict(name="serialised", what=what, verdict="right", reason=f"{note}; its scores are right")
        verdict = "wrong" if self._right(self.fresh, few) else "right"
        return StageVerdict(name="serialised", what=what, verdict=verdict, reason=note)  # type: ignore[arg-type]

    def _right(self, data: bytes, vectors: VectorSet) -> bool:
        try:
            return replace(self.subject, vectors=vectors).judge_loaded(data).passed
        except ChordkitError:
            return False


def _program(subject: Subject) -> ParityReport:
    assert subject.source is not None
    program = export_program(subject.source, subject.vectors.candidates.shape[1], user_vector=subject.artifact.user_vector)
    return subject.judge_exact(np.asarray(reranker_scores(program.module())(*subject.vectors.inputs)), subject.vectors)


def _lowered(subject: Subject) -> ParityReport:
    plain = subject.plain
    assert plain.source is not None
    scores = plain.target.lowered(plain.settled, plain.source)
    assert scores is not None
    return plain.judge(np.asarray(scores(*plain.vectors.inputs)), plain.vectors)


def _loaded(subject: Subject) -> ParityReport:
    return subject.judge_loaded(subject.make())


def _absent(name: StageName, what: str, reason: str) -> StageVerdict:
    return StageVerdict(name=name, what=what, verdict="absent", reason=reason)


_STAGES: dict[StageName, Callable[[_Walk], StageVerdict]] = {
    "master": _Walk.master,
    "strategy": _Walk.strategy,
    "reference": _Walk.reference,
    "program": _Walk.program,
    "lowered": _Walk.lowered,
    "serialised": _Walk.serialised,
    "loaded": _Walk.loaded,
    "arm64": _Walk.arm64,
}
