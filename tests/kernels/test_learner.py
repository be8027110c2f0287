"""The learner in C trains, judges and chooses as chordkit.coda does, every step within a bound that follows from what is rounded."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from chordkit.backbones import CaserConfig, SASRecConfig, from_master
from chordkit.coda.adapter import NO_STRATEGY, Adapter, decode_adapter, encode_adapter
from chordkit.coda.classifier import describe, inner, probabilities
from chordkit.coda.gate import judge
from chordkit.coda.learning import PARTS, Candidates, Exam, Head, Lessons, Steps, start
from chordkit.coda.personal import PersonalOptions, personalise
from chordkit.coda.samples import Segments, encode_samples
from chordkit.errors import AdapterError, InputError, SampleError
from chordkit.kernels import Engine, available, variants
from chordkit.kernels.learner import Learner, NativeLessons
from tests.kernels.conftest import random_master

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

ITEMS, STEPS = 60, 6
CONFIGS = {
    "sasrec": (SASRecConfig(items=ITEMS, dim=16, max_length=8, heads=1), 8, 1.0),
    "sasrec of 4 bits, warm": (SASRecConfig(items=ITEMS, dim=32, max_length=8, heads=1), 4, 1.7),
    "caser with biases": (
        CaserConfig(items=ITEMS, dim=16, max_length=8, heights=(1, 3), filters=2, vertical_filters=1, item_bias=True),
        8,
        0.8,
    ),
}


@dataclass(frozen=True, eq=False)
class Phone:
    """A model, the same for the reference in float64, and a user with samples from outside."""

    engine: Engine
    head: Head
    temperature: float
    own: NativeLessons
    outside: NativeLessons

    def learner(self, **values: object) -> Learner:
        return Learner(self.engine, temperature=self.temperature, **values)  # type: ignore[arg-type]

    def decode(self, data: bytes) -> Adapter:
        found = decode_adapter(
            data, fingerprint=self.engine.fingerprint, strategy=NO_STRATEGY, dim=self.engine.dim, items=self.engine.items
        )
        return replace(found, values=found.values.astype(np.float64))


def double(lessons: NativeLessons) -> Lessons:
    found = lessons.reference()
    return Lessons(found.states.astype(np.float64), found.targets, found.seen)


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS)
def phone(request: pytest.FixtureRequest) -> Phone:
    config, bits, temperature = request.param
    master = random_master(config, embedding_bits=bits)
    engine, backbone = Engine(master.to_bytes()), from_master(master)
    table = backbone.item_embedding.weight.detach().numpy().astype(np.float64)
    bias = None if backbone.item_bias is None else backbone.item_bias.detach().numpy().astype(np.float64) / temperature
    generator, learner = np.random.default_rng(3), Learner(engine)
    own = learner.own_lessons(generator.integers(1, ITEMS + 1, 50).astype(np.int32), 40)
    pieces = [generator.integers(1, ITEMS + 1, 9).astype(np.int32) for _ in range(8)]
    marks = [np.arange(9) > 4] * 8
    outside = learner.sample_lessons(encode_samples(Segments(pieces, marks), engine.fingerprint))
    return Phone(engine, Head(table / temperature, bias, engine.fingerprint), temperature, own, outside)


# --- training: what may be wrong with a step's gradient -----------------------------------------------------------------------------


class Bound:
    """How wrong the gradient of a step can be, in the order of ``Adapter.values``, by what is rounded (kernels/libchord/learn/train.c).

    A state is followed: what it is ahead of what was multiplied so far is rounded to 8 bits, so a 254th of that, at most, stays behind;
    with two passes a 254th of a 254th. A candidate's logit is then wrong by the sum of its row's magnitudes times what stayed behind, and a
    softmax by as much, in proportion, twice over. The softmax is followed in units of 1 / 32,512 with a scale that is a power of two: a
    127th of the largest change, and half a unit. Float32 adds a few of its roundings a step.
    """

    UNIT = 32512.0

    def __init__(self, phone: Phone, lessons: Lessons, candidates: Candidates, passes: int) -> None:
        self.head, self.lessons, self.passes = phone.head, lessons, passes
        self.rows = phone.head.table[candidates.items]
        scales = np.abs(self.rows).max(axis=1)  # in proportion: every row of these models has a code at the end of the grid
        self.ratios = scales / scales.max()
        self.exam = Exam(phone.head, lessons, candidates)
        self.behind = np.abs(lessons.states).max(axis=1) / 254**2
        self.states, self.parts, self.late, self.steps = lessons.states, self._softmax(None), None, 0

    def _softmax(self, adapter: Adapter | None) -> np.ndarray:
        zero = Adapter.zero(self.head.dim, np.zeros(0, np.int32))
        powers = np.exp(self.exam._logits(adapter or replace(zero, values=zero.values.astype(np.float64)))[0])
        return powers / powers.sum(axis=1, keepdims=True)

    def of(self, adapter: Adapter, weights: np.ndarray) -> np.ndarray:
        """Of the gradient at ``adapter``; to be asked step by step, from zero on."""
        states, parts = adapter.states(self.lessons.states), self._softmax(adapter)
        passes = self.passes if self.steps else 2
        if self.steps:
            self.behind = (np.abs(states - self.states).max(axis=1) + self.behind) / 254**passes
        self.steps += 1
        behind = 1.01 * self.behind + 2e-7 * np.abs(states).max(axis=1)
        logits = np.abs(self.rows).sum(axis=1).max() * behind
        size = np.abs(states @ self.rows.T).max(axis=1)
        wrong = np.expm1(2 * logits + 2 * self.steps * passes * (1e-6 + 3e-7 * size))
        shares = parts * self.ratios
        moved = shares.max(axis=1) if self.late is None else np.abs(shares - self.parts * self.ratios).max(axis=1) + self.late
        late = moved + 2 * wrong * parts.max(axis=1) + 1 / self.UNIT
        for _ in range(passes):
            late = late / 127
        self.late, self.parts, self.states = late + 0.5 / self.UNIT, parts, states
        weight = weights / weights.sum()
        spread = np.abs(self.rows) / self.ratios[:, None]
        mixed = wrong[:, None] * (parts @ np.abs(self.rows)) + self.late[:, None] * spread.sum(axis=0) + 1e-6 * np.abs(self.rows).max()
        mixed = mixed * weight[:, None]
        inside = np.abs(self.lessons.states @ adapter.down.T)
        bias = ((wrong[:, None] + 1e-6) * parts * weight[:, None]).sum(axis=0)
        places = np.searchsorted(self.exam.items, adapter.items)
        return np.concatenate(
            [(mixed * np.abs(self.lessons.states)).sum(axis=0), mixed.sum(axis=0), (mixed.T @ inside).ravel(), bias[places]]
        )


def trained(phone: Phone, steps: Steps, passes: int) -> tuple[list[Adapter], Lessons, np.ndarray]:
    """The adapters of C after 0, 1, 2, ... steps from all lessons, and what they learned from."""
    lessons = double(phone.own).join(double(phone.outside))
    weights = np.concatenate([np.ones(len(phone.own)), np.full(len(phone.outside), 0.3)])
    options = [PersonalOptions(replace(steps, count=count), share=1.0, others=12) for count in range(steps.count + 1)]
    found = [phone.decode(phone.learner(passes=passes).learn(phone.own, phone.outside, each)[0]) for each in options]
    assert np.array_equal(found[0].items, start(phone.head, lessons).items) and not found[0].values.any()
    return found, lessons, weights


def exact(
    phone: Phone, found: list[Adapter], lessons: Lessons, weights: np.ndarray, passes: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The gradients in float64 at the very parameters that C had, and how wrong C's may be."""
    candidates = Candidates.choose(lessons.targets, phone.head.items, 12)
    exam, bound = Exam(phone.head, lessons, candidates), Bound(phone, lessons, candidates, passes)
    down = [replace(each) for each in found[:-1]]
    return [exam.loss(each, weights)[1] for each in down], [bound.of(each, weights) for each in down]


@pytest.mark.parametrize("passes", [1, 2])
def test_every_step_with_momentum_takes_the_reference_s_gradient_within_the_bound(phone: Phone, passes: int) -> None:
    steps = Steps(STEPS, 0.002, "sgd", decay=0.1)
    found, lessons, weights = trained(phone, steps, passes)
    slopes, bounds = exact(phone, found, lessons, weights, passes)
    momentum, worst = np.zeros_like(slopes[0]), []
    for before, after, slope, bound in zip(found[:-1], found[1:], slopes, bounds, strict=True):
        taken = (before.values - after.values) / steps.rate
        # Parameters are float32: so is what is read off them.
        rounding = 4e-7 * (np.abs(before.values) + np.abs(taken) * steps.rate) / steps.rate + 1e-9
        difference = np.abs(taken - 0.9 * momentum - (slope + steps.decay * before.values))
        worst.append(float((difference / (bound + 2 * rounding)).max()))
        momentum = taken
    print(f"at most {max(worst):.2f} of the bound, which is {max(float(b.max()) for b in bounds):.1e} of {np.abs(slopes[0]).max():.1e}")
    assert max(worst) <= 1
    # The bound would see a gradient that is wrong by a few percent.
    assert max(float((each / np.abs(slope).max()).max()) for each, slope in zip(bounds, slopes, strict=True)) < 0.06


def test_every_step_of_adam_follows_from_the_reference_s_gradients_within_the_bound(phone: Phone) -> None:
    steps = Steps(STEPS, 0.003)
    found, lessons, weights = trained(phone, steps, 1)
    slopes, bounds = exact(phone, found, lessons, weights, 1)
    first = second = least = most = error = np.zeros_like(slopes[0])
    tight = []
    for step, (slope, bound) in enumerate(zip(slopes, bounds, strict=True), 1):
        first, error = 0.9 * first + 0.1 * slope, 0.9 * error + 0.1 * bound
        small, large = np.maximum(np.abs(slope) - bound, 0), np.abs(slope) + bound
        second, least, most = (0.999 * old + 0.001 * new**2 for old, new in ((second, slope), (least, small), (most, large)))
        by, root = 1 / (1 - 0.9**step), 1 / (1 - 0.999**step)
        exactly = first * by / (np.sqrt(second * root) + 1e-8)
        ends = [(first + sign * error) * by / (np.sqrt(each * root) + 1e-8) for sign in (-1, 1) for each in (least, most)]
        taken = (found[step - 1].values - found[step].values) / steps.rate
        # What is divided by nearly nothing is bounded by Adam itself: no step is longer than sqrt(step) rates, by Cauchy and Schwarz.
        low, high = (np.clip(each, -np.sqrt(step) - 1, np.sqrt(step) + 1) for each in (np.min(ends, axis=0), np.max(ends, axis=0)))
        slack = 1e-4 + 4e-7 * np.abs(found[step].values) / steps.rate
        assert (taken >= low - slack).all() and (taken <= high + slack).all()
        tight.append(float(np.median(high - low)))
        assert np.median(np.abs(taken - exactly)) < 0.02
    assert max(tight) < 0.5  # of a rate


@pytest.mark.parametrize("parts", [(), *((part,) for part in PARTS)])
def test_only_what_is_to_learn_learns(phone: Phone, parts: tuple[str, ...]) -> None:
    found = phone.decode(phone.learner().learn(phone.own, phone.outside, PersonalOptions(Steps(2, parts=parts)))[0])
    learned = {"affine": found.gain.any() and found.shift.any(), "lowrank": found.up.any(), "bias": found.bias.any()}
    assert learned == {name: name in parts for name in PARTS}


def test_all_variants_write_the_same_bytes_and_none_changes_its_mind(phone: Phone) -> None:
    master = bytes(phone.engine._ffi.buffer(phone.engine._master))
    made = [
        Learner(Engine(master, variant.name), temperature=phone.temperature).learn(phone.own, phone.outside)
        for variant in variants()
        if variant.supported
        for _ in range(2)
    ]
    assert len(set(made)) == 1


# --- choosing and judging -----------------------------------------------------------------------------------------------------------


def test_the_classifier_is_the_reference_s_and_keeps_the_same_samples(phone: Phone) -> None:
    features = describe(phone.head, double(phone.own)), describe(phone.head, double(phone.outside))
    wanted = probabilities(*features)
    found = phone.learner().inside(phone.own, phone.outside)
    # Logits grow to some tens over 40 steps in float32: 1e-5 in proportion.
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.array_equal(inner(found, 0.5), inner(wanted, 0.5))
    for share in (0.0, 0.2, 0.5, 1.0):
        assert phone.learner().learn(phone.own, phone.outside, PersonalOptions(share=share))[1] == int(np.ceil(share * len(phone.outside)))


@pytest.mark.parametrize("shift", [0.0, 1.0], ids=["nothing to learn", "a shift"])
def test_the_gate_judges_as_the_reference_does(phone: Phone, shift: float) -> None:
    generator = np.random.default_rng(8)
    states = phone.own.states + np.float32(shift) * np.sign(phone.head.table[7]).astype(np.float32)
    own = replace(phone.own, states=states)
    if not shift:
        items = own.items.copy()
        generator.shuffle(items)
        own = replace(own, items=items)
    options = PersonalOptions(Steps(5, 0.01), others=20)
    adapter, report = phone.learner(passes=2).personalise(own, phone.outside, options)
    wanted, expected = personalise(phone.head, double(own), double(phone.outside), options)
    assert (adapter is None) == (wanted is None) and report.verdict.adopt == expected.verdict.adopt
    assert (report.verdict.lessons, report.local, report.outside) == (expected.verdict.lessons, expected.local, expected.outside)
    assert report.kept == expected.kept
    assert report.verdict.before == pytest.approx(expected.verdict.before, abs=1e-5)
    # Five steps of at most 0.01 in each parameter, a few hundredths of them in doubt where a gradient is nearly zero.
    assert report.verdict.after == pytest.approx(expected.verdict.after, abs=2e-3)
    assert report.verdict.low == pytest.approx(expected.verdict.low, abs=2e-3)


def test_too_few_lessons_are_not_judged_and_none_gives_an_adapter_of_zeros(phone: Phone) -> None:
    few = NativeLessons(phone.own.items, phone.own.places[:9], phone.own.states[:9])
    adapter, report = phone.learner().personalise(few, phone.outside)
    assert adapter is None and report.verdict.low == -np.inf and not report.verdict.adopt
    none = NativeLessons(phone.own.items, phone.own.places[:0], phone.own.states[:0])
    assert not phone.decode(phone.learner().learn(none)[0]).values.any()
    assert phone.learner().learn(none, phone.outside)[1] == len(phone.outside)


# --- adapters -----------------------------------------------------------------------------------------------------------------------


def test_an_adapter_moves_states_and_scores_as_in_python(phone: Phone) -> None:
    learner = phone.learner()
    data, _ = learner.learn(phone.own, phone.outside, PersonalOptions(Steps(5, 0.05)))
    adapter = phone.decode(data)
    assert encode_adapter(replace(adapter, values=adapter.values.astype(np.float32))) == data
    hidden, candidates = phone.own.states[3], np.arange(1, ITEMS + 1)
    moved = adapter.states(hidden[None].astype(np.float64))[0]
    np.testing.assert_allclose(learner.adapt(data, hidden), moved, atol=1e-5)
    wanted = phone.temperature * (
        moved @ phone.head.table[1:].T + adapter.biases(candidates) + (0 if phone.head.bias is None else phone.head.bias[1:])
    )
    # The engine takes a state in 16 bits.
    np.testing.assert_allclose(learner.scores(data, hidden, candidates), wanted, atol=2e-4 * np.abs(wanted).max())
    exam = Candidates.choose(double(phone.own).targets, ITEMS, 256)
    verdict, none = learner.judge(data, phone.own), Adapter.zero(phone.engine.dim, np.zeros(0, np.int32))
    likely = [Exam(phone.head, double(phone.own), exam).likelihoods(each).mean() for each in (none, adapter)]
    assert (verdict.before, verdict.after) == pytest.approx(tuple(likely), abs=1e-5)


def test_an_adapter_of_another_strategy_or_a_damaged_one_is_refused(phone: Phone) -> None:
    data, _ = phone.learner().learn(phone.own)
    with pytest.raises(AdapterError, match="adapter: strategy: "):
        Learner(phone.engine, b"strategy").adapt(data, phone.own.states[0])
    with pytest.raises(AdapterError, match="adapter: CRC: "):
        phone.learner().adapt(data[:-1] + bytes([data[-1] ^ 1]), phone.own.states[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": Steps(rate=-1.0)}, "outside its bounds"),
        ({"folds": 1}, "outside its bounds"),
        ({"others": 5000}, "outside its bounds"),
        ({"steps": Steps(rate=9.0, count=300, method="sgd")}, "the rate is too high"),
    ],
)
def test_options_that_are_not_possible_are_refused(phone: Phone, change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        phone.learner().learn(phone.own, phone.outside, PersonalOptions(**change))


def test_lessons_that_are_none_are_refused(phone: Phone) -> None:
    own, learner = phone.own, phone.learner()
    outside_catalogue = replace(own, items=np.where(np.arange(len(own.items)) == 3, ITEMS + 1, own.items).astype(np.int32))
    for broken in (
        outside_catalogue,
        replace(own, places=own.places[:, ::-1].copy()),
        replace(own, states=own.states * np.float32(np.nan)),
    ):
        with pytest.raises(InputError):
            learner.learn(broken, phone.outside)
    with pytest.raises(InputError):
        learner.own_lessons(np.array([1, ITEMS + 1, 2]))
    with pytest.raises(SampleError, match="samples: fingerprint: "):
        learner.sample_lessons(encode_samples(Segments([np.array([1, 2], np.int32)], [np.array([False, True])]), b"another!"))


def test_the_memory_asked_for_is_below_a_megabyte() -> None:
    engine = Engine(random_master(SASRecConfig(items=3706)).to_bytes())
    lessons = 300 * (engine.dim * 4 + 8)
    assert Learner(engine).memory_bytes(100, 200) + lessons < 1_000_000


def test_the_reference_still_judges_forward_in_time(phone: Phone) -> None:
    """Who changes the gate there has to change it in C."""
    learned: list[int] = []

    def learn(some: Lessons) -> Adapter:
        learned.append(len(some))
        return Adapter.zero(phone.engine.dim, np.zeros(0, np.int32))

    judge(phone.head, double(phone.own), learn)
    assert learned == [8, 18, 29]
