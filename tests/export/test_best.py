"""Files that choose the best of their candidates or of the whole catalogue, and files that take several histories a call."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch

from chordkit.backbones import ARCHITECTURES, Backbone, build, from_master, initialise, make_master
from chordkit.errors import CapabilityError, CheckFailed, InputError
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import (
    FP32_TOLERANCE,
    Best,
    ParityReport,
    VectorSet,
    compare_best,
    depth_for,
    draw,
    expected_of,
    read_vectors,
    references,
)
from chordkit.export.targets import Runner, Target, all_targets, load_runner, lower
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy

ITEMS, CANDIDATES, TOP, BATCH, HISTORIES = 40, 8, 5, 3, 32
TWINS = (3, 9, 17, 30)  # items of one embedding, so of one score after any history
ABLE = [target for target in all_targets() if target.capability.top]
EACH_ABLE = pytest.mark.parametrize("target", ABLE, ids=str)
pytestmark = pytest.mark.usefixtures("installed_target")
# Of ExecuTorch, whose exports take seconds, one file of each target is enough: it has all three at once.
QUICK = [target for target in ABLE if not target.name.startswith("executorch")]


@functools.cache
def backbone() -> Backbone:
    model = initialise(build(ARCHITECTURES["sasrec"].examples[2]), "random", distribution="normal", seed=5).eval()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for layer in model.channel_layers().values():
            layer.weight.normal_(0, 0.6 * layer.in_features**-0.5, generator=generator)
        model.item_embedding.weight[1:].normal_(0, 1, generator=generator)
        model.item_embedding.weight[list(TWINS)] = model.item_embedding.weight[TWINS[0]].clone()
    return model


@functools.cache
def master() -> MasterWeights:
    return make_master(backbone())


def widths(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 2, 4, 8], np.uint8), master().channel_table.channels)


@functools.cache
def vectors(seed: int = 0) -> VectorSet:
    generator = np.random.default_rng(1)
    histories = generator.integers(1, ITEMS + 1, (HISTORIES, backbone().config.max_length)).astype(np.int32)
    histories[:10, :3] = 0
    drawn = draw(histories, generator.integers(1, ITEMS + 1, HISTORIES).astype(np.int32), ITEMS, count=HISTORIES, candidates=CANDIDATES)
    known = references(master(), None, {"mix": Strategy(widths(seed), master().fingerprint)})
    return drawn.with_scores(known).with_best(known, depth_for(TOP, ITEMS))


def spec_of(target: Target, top: int | None = None, batch: int = 1, catalogue: bool = False) -> ArtifactSpec:
    return ArtifactSpec(
        target.name, Precision.STRATEGY, ITEMS if catalogue else CANDIDATES, target.capability.activations[-1],
        top=top, batch=batch, catalogue=catalogue,
    )  # fmt: skip


def load(spec: ArtifactSpec) -> Runner:
    return load_runner(spec.target, lower(spec, (master(), widths())))


def verdict(spec: ArtifactSpec, runner: Runner, given: VectorSet | None = None) -> ParityReport:
    artifact = Artifact(
        name="x",
        target=spec.target,
        precision="strategy",
        activations=spec.activations or "fp32",
        candidates=spec.candidates,
        strategy="mix",
        top=spec.top,
        batch=spec.batch,
        catalogue=spec.catalogue,
    )
    return judge(artifact, runner, master(), widths(), given or vectors())


@EACH_ABLE
def test_the_best_of_the_catalogue_for_several_histories_are_the_references_and_of_twins_the_earlier_comes_first(target: Target) -> None:
    spec = spec_of(target, TOP, BATCH, catalogue=True)
    data = lower(spec, (master(), widths()))
    if target.name.startswith("executorch"):  # the items' rows are no constant for XNNPACK, and aten::linear is an operator of few runtimes
        assert b"aten::mm" in data and b"aten::linear" not in data
    runner = load_runner(target.name, data)
    assert (runner.top, runner.batch, runner.catalogue, runner.candidates) == (TOP, BATCH, True, ITEMS)
    report = verdict(spec, runner)
    assert report.passed, report.reasons
    assert not verdict(spec, runner, vectors(seed=2)).passed, "the file of another strategy was not seen"
    twins = 0
    for start in range(0, HISTORIES - BATCH, BATCH):
        for ids in runner.best(vectors().histories[start : start + BATCH]).ids:
            seen = [item for item in ids if item in TWINS]
            assert seen == list(TWINS[: len(seen)]), f"of twins {seen} were chosen"
            twins += len(seen) > 1
    assert twins, "no two twins were among the best of any history"


@pytest.mark.parametrize("target", QUICK, ids=str)
def test_several_histories_a_call_score_as_each_alone_and_the_best_of_given_candidates_are_those_of_their_scores(target: Target) -> None:
    single, several, choosing = (load(spec_of(target, *shape)) for shape in ((None, 1), (None, BATCH), (TOP, 1)))
    rows = slice(0, BATCH)
    histories, candidates = vectors().histories[rows], vectors().candidates[rows]
    alone = np.stack([single.scores(*row) for row in zip(histories, candidates, strict=True)])
    # The same sums in another order; of 8-bit activations also a code that rounds to the other side (docs/parity.md).
    limit = FP32_TOLERANCE.max_relative_error if target.capability.activations[-1] == "fp32" else 0.03
    assert np.abs(several.scores(histories, candidates) - alone).max() <= limit * alone.std()
    best, sorted_here = choosing.best(histories[0], candidates[0], k=3), single.best(histories[0], candidates[0], k=3)
    assert (best.ids == sorted_here.ids).all() and best.scores.shape == (3,)
    assert verdict(spec_of(target, TOP, 1), choosing).passed
    assert np.array_equal(several.scores(histories, candidates[0])[0], several.scores(histories, np.tile(candidates[0], (BATCH, 1)))[0])
    with pytest.raises(InputError, match=rf"history: \[{histories.shape[1]}\] ids were given where the artifact takes \[3, "):
        several.scores(histories[0], candidates[0])
    with pytest.raises(InputError, match="the artifact gives the 5 best alone; ask for best"):
        choosing.scores(histories[0], candidates[0])
    with pytest.raises(InputError, match=r"k = 6: the artifact gives 1 to 5"):
        choosing.best(histories[0], candidates[0], k=6)


def test_with_a_user_vector_the_best_are_those_of_the_user() -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    spec = dataclasses.replace(spec_of(ABLE[0], TOP, BATCH, catalogue=True), target="litert", activations="fp32", user_vector=True)
    runner = load(spec)
    generator = np.random.default_rng(3)
    users = generator.normal(0, 0.5, (BATCH, backbone().config.dim)).astype(np.float32)
    histories = vectors().histories[:BATCH]
    model = from_master(master(), widths())
    with torch.no_grad():
        hidden = model.encode_personal(torch.from_numpy(histories), torch.from_numpy(users))
        expected = np.sort(model.score_all(hidden)[:, 1:].numpy())[:, ::-1][:, :TOP]
    found = runner.best(histories, user=users)
    assert np.abs(found.scores - expected).max() <= FP32_TOLERANCE.max_relative_error * expected.std()
    assert (runner.best(histories).scores != found.scores).any()
    one = runner.for_user(users[0])
    assert np.array_equal(one.best(histories).ids[0], found.ids[0])


@pytest.mark.parametrize("target", [target for target in all_targets() if not target.capability.top], ids=str)
def test_a_target_whose_files_cannot_says_so_with_the_mend(target: Target) -> None:
    with pytest.raises(CapabilityError, match=rf"{target}: top 5 of the whole catalogue is not supported: .*; leave it out, and sort the"):
        target.check_shape(spec_of(target, TOP, catalogue=True))
    with pytest.raises(CapabilityError, match=rf"{target}: a batch of 3 is not supported: .*; call it for each history"):
        target.check_shape(spec_of(target, None, BATCH))
    target.check_shape(spec_of(target))


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(InputError, match="top: 9 is not between 1 and the 8 candidates"):
        spec_of(ABLE[0], 9)
    with pytest.raises(InputError, match="over the whole catalogue gives the best alone; say how many"):
        spec_of(ABLE[0], None, 1, catalogue=True)
    with pytest.raises(InputError, match="30 candidates are not the whole catalogue of 40 items"):
        lower(dataclasses.replace(spec_of(ABLE[0], TOP, 1, True), candidates=30), (master(), widths()))


# --- the judgement itself --------------------------------------------------------------------------------------------


def chosen_by_the_reference(columns: int = 20, k: int = 6) -> tuple[np.ndarray, np.ndarray, Best]:
    generator = np.random.default_rng(0)
    candidates = np.stack([generator.permutation(columns) + 1 for _ in range(50)]).astype(np.int32)
    scores = generator.normal(size=candidates.shape).astype(np.float32)
    order = np.argsort(-scores, axis=1)[:, :k]
    return candidates, scores, Best(np.take_along_axis(candidates, order, 1), np.take_along_axis(scores, order, 1))


def judged(given: Best, scores: np.ndarray | None = None) -> ParityReport:
    candidates, own, _ = chosen_by_the_reference()
    return compare_best(given, expected_of(candidates, own if scores is None else scores), FP32_TOLERANCE, candidates=20)


def test_the_references_own_choice_passes() -> None:
    report = judged(chosen_by_the_reference()[2])
    assert report.passed and report.max_abs_error == 0 and report.top10_overlap == 1 and report.candidates == 20


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda ids, scores: (ids[:, ::-1], scores), "max_relative_error"),
        (lambda ids, scores: (ids[:, ::-1], scores[:, ::-1]), "scores do not fall"),
        (lambda ids, scores: (np.hstack([ids[:, :1], ids[:, :-1]]), scores), "an id comes twice"),
        (lambda ids, scores: (ids + 20, scores), "an id is no candidate"),
        (lambda ids, scores: (ids % 20 + 1, scores), "max_relative_error"),
        (lambda ids, scores: (ids, scores + np.float32(0.1)), "relative_rms_error"),
        (lambda ids, scores: (ids, np.where(scores == scores.max(), np.nan, scores)), "NaN or infinite"),
    ],
)
def test_no_wrong_choice_passes(fault, reason: str) -> None:
    given = chosen_by_the_reference()[2]
    report = judged(Best(*(np.ascontiguousarray(each) for each in fault(*given))))
    assert not report.passed and any(reason in each for each in report.reasons), report.reasons


def test_a_better_candidate_that_is_left_out_is_seen_although_every_score_is_right() -> None:
    candidates, scores, _ = chosen_by_the_reference()
    order = np.argsort(-scores, axis=1)[:, 1:7]
    report = judged(Best(np.take_along_axis(candidates, order, 1), np.take_along_axis(scores, order, 1)))
    assert report.relative_rms_error == 0 and not report.passed


def test_ids_may_differ_where_the_reference_scores_tie_and_the_earlier_must_come_first_where_the_artifact_ties() -> None:
    candidates, scores, _ = chosen_by_the_reference()
    order = np.argsort(-scores, axis=1)
    rows = np.arange(len(scores))
    tied = scores.copy()
    tied[rows, order[:, 6]] = tied[rows, order[:, 5]] * (1 + 2.0**-22)  # the seventh beats the sixth by a rounding
    for place in (5, 6):
        picked = np.concatenate([order[:, :5], order[:, [place]]], axis=1)
        best = Best(np.take_along_axis(candidates, picked, 1), np.take_along_axis(scores, order[:, :6], 1))
        report = judged(best, tied)
        assert not [reason for reason in report.reasons if not reason.startswith("top10_overlap")], report.reasons
    equal = np.zeros_like(scores)
    equal[:, 0] = 1
    first = Best(candidates[:, :6], equal[:, :6])
    late = Best(np.ascontiguousarray(first.ids[:, [0, 2, 1, 3, 4, 5]]), first.scores)
    expected = expected_of(candidates, equal)
    assert compare_best(first, expected, FP32_TOLERANCE, candidates=20).passed
    assert any("later candidate" in reason for reason in compare_best(late, expected, FP32_TOLERANCE, candidates=20).reasons)


def test_a_file_of_another_shape_than_its_entry_says_is_not_judged() -> None:
    class Plain:
        def scores(self, *inputs: np.ndarray) -> np.ndarray:
            raise AssertionError("it was asked")

    with pytest.raises(CheckFailed, match=r"its file takes and gives \(top, batch, catalogue\) \(None, 1, False\)"):
        verdict(spec_of(ABLE[0], TOP), Plain())  # type: ignore[arg-type]
    bare = dataclasses.replace(vectors(), best={})
    runner = copy.copy(Plain())
    runner.top, runner.catalogue = TOP, True  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="the test vectors do not have as many of mix"):
        verdict(spec_of(ABLE[0], TOP, catalogue=True), runner, bare)  # type: ignore[arg-type]


def test_test_vectors_keep_the_best_and_refuse_what_is_none() -> None:
    back = read_vectors(vectors().to_bytes(), "x")
    assert all(np.array_equal(back.best["mix"][part], vectors().best["mix"][part]) for part in (0, 1))
    assert back.head(3).best["mix"].ids.shape == (3, depth_for(TOP, ITEMS))
    ids, scores = vectors().best["mix"]
    for wrong, what in (
        (Best(ids, scores[:, ::-1].copy()), "not scores that fall"),
        (Best(ids * 0 + 1, scores), "each once"),
        (Best(ids[:, :3], scores), "not as many ids as scores"),
    ):
        with pytest.raises(Exception, match=what):
            read_vectors(dataclasses.replace(vectors(), best={"mix": wrong}).to_bytes(), "x")
