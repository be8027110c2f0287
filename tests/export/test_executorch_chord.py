"""ExecuTorch programs with ``chord::rerank`` on the real runtime: the engine's bits, and nothing from outside is trusted."""

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, CaserConfig, SASRecConfig, build, initialise, make_master
from chordkit.errors import CapabilityError, InputError, MasterError, StrategyError, UserVectorError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.targets import load_runner, lower
from chordkit.export.targets.executorch import quiet
from chordkit.export.targets.executorch_chord import lower as executorch_chord
from chordkit.export.targets.executorch_chord.runner import ExecutorchChordRunner
from chordkit.export.targets.native.runner import NativeRunner
from chordkit.kernels.executorch import library as executorch_ops
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, encode_user_vector, quantize_user_vector, to_wire

pytest.importorskip("executorch")

pytestmark = pytest.mark.long

ITEMS, LENGTH, CANDIDATES = 30, 8, 6
CONFIGS = {
    "sasrec": SASRecConfig(items=ITEMS, max_length=LENGTH, dim=16, heads=2, blocks=2),
    "gelu": SASRecConfig(items=ITEMS, max_length=LENGTH, dim=16, heads=1, blocks=1, ffn_dim=48, activation="gelu", norm_first=True),
    "caser": CaserConfig(items=ITEMS, max_length=LENGTH, dim=16, heights=(1, 3), filters=5, vertical_filters=2, item_bias=True),
}
HISTORY = np.array([0, 0, 3, 1, 30, 7, 7, 12], np.int32)
IDS = np.array([1, 30, 2, 9, 17, 5], np.int32)


def random_backbone(name: str, seed: int = 0) -> Backbone:
    backbone = initialise(build(CONFIGS[name]), "random", seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return backbone


def mixed(master: MasterWeights, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)


def wire(master: MasterWeights, widths: np.ndarray) -> bytes:
    return to_wire(Strategy(widths, master.fingerprint))


def user_wire(master: MasterWeights, seed: int = 0) -> bytes:
    return encode_user_vector(quantize_user_vector(np.random.default_rng([seed, 9]).normal(size=16), master.fingerprint))


class Program:
    """A master, a strategy, and the program made of them, loaded."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.master = make_master(random_backbone(name, seed))
        self.widths = mixed(self.master, seed)
        self.data = lower(ArtifactSpec("executorch-chord", "strategy", CANDIDATES, activations="int8"), (self.master, self.widths))
        self.runner = self.load()

    def load(self) -> ExecutorchChordRunner:
        return ExecutorchChordRunner("executorch-chord", self.data, 1, self.master.to_bytes())

    def native(self, widths: np.ndarray | None = None) -> NativeRunner:
        return NativeRunner(self.master.to_bytes(), wire(self.master, self.widths if widths is None else widths), CANDIDATES)


@pytest.fixture(scope="module")
def library() -> executorch_ops.Library:
    return executorch_ops.load()


@pytest.fixture(scope="module")
def programs(library: executorch_ops.Library) -> Callable[..., Program]:
    """Each program once: an export takes a second."""
    made: dict[tuple[str, int], Program] = {}

    def get(name: str, seed: int = 0) -> Program:
        if (name, seed) not in made:
            made[name, seed] = Program(name, seed)
        return made[name, seed]

    return get


@pytest.fixture
def roomy(library: executorch_ops.Library) -> Any:
    """An empty cache of the usual size, before and after."""
    library.limit()
    library.trim()
    yield library
    library.limit()
    library.trim()


def histories() -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    rows = [HISTORY]
    for real in (1, LENGTH // 2, LENGTH):
        row = np.zeros(LENGTH, np.int32)
        row[-real:] = generator.integers(1, ITEMS + 1, real)
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", CONFIGS)
def test_program_eager_operator_engine_and_reference_agree_bit_for_bit(programs: Callable[..., Program], name: str) -> None:
    made = programs(name)
    native, reference = made.native(), ReferenceEngine(made.master, made.widths)
    files = [torch.from_numpy(np.frombuffer(data, np.uint8).copy()) for data in (made.master.to_bytes(), wire(made.master, made.widths))]
    for history in histories():
        scores = made.runner.scores(history, IDS)
        np.testing.assert_array_equal(scores, reference.scores(history, IDS))
        np.testing.assert_array_equal(scores, native.scores(history, IDS))
        eager = torch.ops.chord.rerank(torch.from_numpy(history[None]), torch.from_numpy(IDS[None]), *files)
        np.testing.assert_array_equal(scores, eager.numpy()[0])
    assert np.ptp(scores) > 0


def test_int8_everywhere_is_the_engine_without_a_strategy(programs: Callable[..., Program]) -> None:
    master = programs("sasrec").master
    int8 = np.full(master.channel_table.channels, 8, np.uint8)
    data = lower(ArtifactSpec("executorch-chord", "int8", CANDIDATES, activations="int8"), (master, int8))
    scores = load_runner("executorch-chord", data, master=master.to_bytes()).scores(HISTORY, IDS)
    np.testing.assert_array_equal(scores, NativeRunner(master.to_bytes(), None, CANDIDATES).scores(HISTORY, IDS))
    assert not np.array_equal(scores, programs("sasrec").runner.scores(HISTORY, IDS))


def test_the_file_has_the_strategy_and_not_the_master_and_is_the_same_each_time(programs: Callable[..., Program]) -> None:
    made = programs("caser")
    assert wire(made.master, made.widths) in made.data
    assert all(layer.rows.codes.tobytes() not in made.data for layer in made.master.layers.values())
    assert len(made.data) < 4096
    assert executorch_chord.lower(made.master, made.widths, CANDIDATES) == made.data


def test_a_method_needs_one_operator_and_no_backend(programs: Callable[..., Program]) -> None:
    from executorch.exir._serialize._program import deserialize_pte_binary

    plans = {plan.name: plan for plan in deserialize_pte_binary(programs("sasrec").data).program.execution_plan}
    operators = {"forward": "chord::rerank.out", "rerank_with": "chord::rerank.out", "rerank_for": "chord::rerank_for.out"}
    assert set(plans) == {*operators, "items"}
    for name, operator in operators.items():
        assert [f"{needed.name}.{needed.overload}" for needed in plans[name].operators] == [operator]
        assert plans[name].delegates == []


@pytest.mark.parametrize("name", ["sasrec", "caser"])
def test_a_new_strategy_is_an_input_and_is_adopted_once(programs: Callable[..., Program], roomy: executorch_ops.Library, name: str) -> None:
    made = programs(name)
    others = [mixed(made.master, seed) for seed in (11, 12, 13)]
    expected = [made.native(widths).scores(HISTORY, IDS) for widths in others]
    assert len({scores.tobytes() for scores in expected}) == 3
    baked = made.runner.scores(HISTORY, IDS)
    before = roomy.counts()
    for _ in range(2):
        for widths, scores in zip(others, expected, strict=True):
            for _ in range(3):
                np.testing.assert_array_equal(made.runner.scores_with(HISTORY, IDS, wire(made.master, widths)), scores)
                np.testing.assert_array_equal(made.runner.scores(HISTORY, IDS), baked)
    after = roomy.counts()
    # One model for the strategy inside, one that takes the others in turn.
    assert (after.models, after.opened - before.opened, after.adopted - before.adopted) == (2, 1, 6)


def test_a_damaged_or_foreign_strategy_is_refused_and_changes_nothing(programs: Callable[..., Program], roomy: Any) -> None:
    made, other = programs("sasrec"), programs("sasrec", seed=1)
    good = wire(made.master, mixed(made.master, 5))
    expected = made.runner.scores_with(HISTORY, IDS, good)
    generator = np.random.default_rng(0)
    for bit in generator.choice(8 * len(good), 60, replace=False):
        spoilt = bytearray(good)
        spoilt[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(InputError, match="executorch-chord: chord::rerank: strategy"):
            made.runner.scores_with(HISTORY, IDS, bytes(spoilt))
    with pytest.raises(InputError, match="backbone"):
        made.runner.scores_with(HISTORY, IDS, wire(other.master, other.widths))
    with pytest.raises(StrategyError, match="3 bytes"):
        made.runner.scores_with(HISTORY, IDS, b"bad")
    np.testing.assert_array_equal(made.runner.scores_with(HISTORY, IDS, good), expected)
    assert roomy.counts().models <= 2


@pytest.mark.parametrize("name", CONFIGS)
def test_a_user_vector_is_an_input_of_one_call(programs: Callable[..., Program], roomy: executorch_ops.Library, name: str) -> None:
    made = programs(name)
    strategies = [wire(made.master, widths) for widths in (made.widths, mixed(made.master, 11))]
    users = [None, user_wire(made.master), user_wire(made.master, 1)]
    engines = [ReferenceEngine(made.master, widths) for widths in (made.widths, mixed(made.master, 11))]
    expected = [[engine.scores(HISTORY, IDS, user=user) for user in users] for engine in engines]
    assert len({scores.tobytes() for row in expected for scores in row}) == 6
    files = [torch.from_numpy(np.frombuffer(data, np.uint8).copy()) for data in (made.master.to_bytes(), strategies[0], users[1] or b"")]
    eager = torch.ops.chord.rerank_for(torch.from_numpy(HISTORY[None]), torch.from_numpy(IDS[None]), *files)
    np.testing.assert_array_equal(eager.numpy()[0], expected[0][1])
    np.testing.assert_array_equal(made.runner.scores(HISTORY, IDS), expected[0][0])
    before = roomy.counts()
    for turn in np.random.default_rng(0).integers(0, 6, 40):
        strategy, user = turn % 2, turn // 2
        scores = made.runner.scores_with(HISTORY, IDS, strategies[strategy], users[user])
        np.testing.assert_array_equal(scores, expected[strategy][user])
        np.testing.assert_array_equal(made.runner.scores(HISTORY, IDS), expected[0][0])
    after = roomy.counts()
    # A vector is no reason for another model, nor to adopt a strategy again.
    assert (after.models, after.opened - before.opened, after.adopted - before.adopted) == (2, 1, 1)


def test_a_damaged_or_foreign_user_vector_is_refused_and_leaves_nothing(programs: Callable[..., Program]) -> None:
    made, other = programs("sasrec"), programs("sasrec", seed=1)
    strategy, good = wire(made.master, made.widths), user_wire(made.master)
    expected, without = made.runner.scores_with(HISTORY, IDS, strategy, good), made.runner.scores_with(HISTORY, IDS, strategy)
    for bit in np.random.default_rng(0).choice(8 * len(good), 60, replace=False):
        spoilt = bytearray(good)
        spoilt[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(InputError, match="executorch-chord: chord::rerank_for: user vector"):
            made.runner.scores_with(HISTORY, IDS, strategy, bytes(spoilt))
        np.testing.assert_array_equal(made.runner.scores_with(HISTORY, IDS, strategy), without)
    with pytest.raises(InputError, match="backbone"):
        made.runner.scores_with(HISTORY, IDS, strategy, user_wire(other.master))
    with pytest.raises(InputError, match="chord::rerank_for: strategy"):
        made.runner.scores_with(HISTORY, IDS, strategy[:-1] + b"x", good)
    with pytest.raises(UserVectorError, match="3 bytes"):
        made.runner.scores_with(HISTORY, IDS, strategy, b"bad")
    np.testing.assert_array_equal(made.runner.scores_with(HISTORY, IDS, strategy, good), expected)


def test_wrong_ids_that_reach_the_operator_are_refused_and_the_next_call_is_right(programs: Callable[..., Program]) -> None:
    made = programs("sasrec")
    expected = made.runner.scores(HISTORY, IDS)
    for history, ids, reason in (
        (np.where(HISTORY == 30, 31, HISTORY), IDS, "history"),
        (np.where(HISTORY == 30, -1, HISTORY), IDS, "history"),
        (np.zeros_like(HISTORY), IDS, "history"),
        (HISTORY, np.where(IDS == 30, 31, IDS), "candidate"),
        (HISTORY, np.where(IDS == 30, 0, IDS), "candidate"),
        (HISTORY, np.where(IDS == 30, np.iinfo(np.int32).min, IDS), "candidate"),
    ):
        with pytest.raises(InputError, match=reason):
            made.runner._run(history.astype(np.int32), ids.astype(np.int32), None)  # past the runner's own checks
        np.testing.assert_array_equal(made.runner.scores(HISTORY, IDS), expected)


def test_a_program_whose_scores_are_not_finite_is_refused(library: executorch_ops.Library) -> None:
    master, largest = make_master(random_backbone("sasrec")), np.float32(1e4)
    layers = {
        name: replace(
            layer,
            rows=replace(layer.rows, codes=np.full_like(layer.rows.codes, 127), scales=np.full_like(layer.rows.scales, largest)),
        )
        for name, layer in master.layers.items()
    }
    master = replace(master, layers=layers, tensors={name: np.full_like(one, largest) for name, one in master.tensors.items()})
    widths = np.full(master.channel_table.channels, 8, np.uint8)
    data = lower(ArtifactSpec("executorch-chord", "strategy", CANDIDATES, activations="int8"), (master, widths))
    with pytest.raises(CapabilityError, match=r"chord::rerank: the result is not finite"):
        ExecutorchChordRunner("executorch-chord", data, 1, master.to_bytes())
    files = [torch.from_numpy(np.frombuffer(one, np.uint8).copy()) for one in (master.to_bytes(), wire(master, widths))]
    with pytest.raises(InputError, match="not finite"):
        torch.ops.chord.rerank(torch.from_numpy(HISTORY), torch.from_numpy(IDS), *files)


class Call(torch.nn.Module):
    """``chord::rerank`` on whatever it is given; master and strategy are constants."""

    def __init__(self, master: torch.Tensor, strategy: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("master", master)
        self.register_buffer("strategy", strategy)

    def forward(self, history: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        return torch.ops.chord.rerank(history, candidates, self.master, self.strategy)


def as_it_is(module: torch.nn.Module, *inputs: torch.Tensor) -> bytes:
    """The module lowered, without any of chordkit's checks."""
    from executorch.exir import EdgeCompileConfig, to_edge

    with quiet():
        exported = torch.export.export(module, inputs, strict=False)
        return bytes(to_edge(exported, compile_config=EdgeCompileConfig(_check_ir_validity=False)).to_executorch().buffer)


def run(module: torch.nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """The module lowered as it is, and executed."""
    from executorch.runtime import Runtime

    data = as_it_is(module, *inputs)
    with quiet():
        method = Runtime.get().load_program(data).load_method("forward")
        return method.execute(inputs)[0].clone()


def damaged(data: torch.Tensor, byte: int) -> torch.Tensor:
    copy = data.clone()
    copy[byte] ^= 1
    return copy


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"history": lambda x: x.long()}, "int32"),
        ({"candidates": lambda x: x.float()}, "int32"),
        ({"history": lambda x: x[0]}, "users"),
        ({"history": lambda x: x.repeat(2, 1)}, "users"),
        ({"history": lambda x: x[None]}, "int32"),
        ({"master": lambda x: x.to(torch.int8)}, "uint8"),
        ({"master": lambda x: x[None]}, "uint8"),
        ({"master": lambda x: x[:100].clone()}, "master"),
        ({"master": lambda x: x[:3].clone()}, "master"),
        ({"master": lambda x: damaged(x, 20)}, "master"),
        ({"master": lambda x: damaged(x, -100)}, "master"),
        ({"strategy": lambda x: x.int()}, "uint8"),
        ({"strategy": lambda x: x[:-1].clone()}, "strategy"),
        ({"strategy": lambda x: damaged(x, 25)}, "strategy"),
    ],
)
def test_programs_with_wrong_shapes_types_or_files_are_refused(
    programs: Callable[..., Program],
    library: executorch_ops.Library,
    change: dict[str, Callable[[torch.Tensor], torch.Tensor]],
    reason: str,
) -> None:
    made = programs("sasrec")
    given = {
        "history": torch.from_numpy(HISTORY).unsqueeze(0),
        "candidates": torch.from_numpy(IDS).unsqueeze(0),
        "master": torch.from_numpy(np.frombuffer(made.master.to_bytes(), np.uint8).copy()),
        "strategy": torch.from_numpy(np.frombuffer(wire(made.master, made.widths), np.uint8).copy()),
    }
    given |= {name: spoil(given[name]) for name, spoil in change.items()}
    with pytest.raises(RuntimeError, match="0x"):
        run(Call(given["master"], given["strategy"]), given["history"], given["candidates"])
    assert library.last_error().startswith("chord::rerank: ") and reason in library.last_error()
    np.testing.assert_array_equal(made.runner.scores(HISTORY, IDS), made.native().scores(HISTORY, IDS))


class CallFor(Call):
    """``chord::rerank_for`` likewise."""

    def __init__(self, master: torch.Tensor, strategy: torch.Tensor, user: torch.Tensor) -> None:
        super().__init__(master, strategy)
        self.register_buffer("user", user)

    def forward(self, history: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        return torch.ops.chord.rerank_for(history, candidates, self.master, self.strategy, self.user)


def test_a_user_vector_is_for_all_histories_of_a_call_and_checked_by_the_operator(
    programs: Callable[..., Program], library: executorch_ops.Library
) -> None:
    made = programs("caser")
    master, strategy, user = (
        torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        for data in (made.master.to_bytes(), wire(made.master, made.widths), user_wire(made.master))
    )
    batch = torch.from_numpy(np.stack(histories()))
    ids = torch.from_numpy(np.stack([np.roll(IDS, shift) for shift in range(len(batch))]))
    scores = run(CallFor(master, strategy, user), batch, ids)
    reference = ReferenceEngine(made.master, made.widths)
    for row in range(len(batch)):
        expected = reference.scores(batch[row].numpy(), ids[row].numpy(), user=user_wire(made.master))
        np.testing.assert_array_equal(scores[row].numpy(), expected)
    for wrong, reason in (
        (user.int(), "uint8"),
        (user[None], "uint8"),
        (user[:-1].clone(), "user vector"),
        (damaged(user, 30), "user vector"),
    ):
        with pytest.raises(RuntimeError, match="0x"):
            run(CallFor(master, strategy, wrong), batch, ids)
        assert library.last_error().startswith("chord::rerank_for: ") and reason in library.last_error()
        np.testing.assert_array_equal(made.runner.scores(HISTORY, IDS), made.native().scores(HISTORY, IDS))


def test_a_batch_and_ids_without_a_batch_axis_give_the_same_scores(programs: Callable[..., Program]) -> None:
    made = programs("caser")
    files = [torch.from_numpy(np.frombuffer(data, np.uint8).copy()) for data in (made.master.to_bytes(), wire(made.master, made.widths))]
    batch = torch.from_numpy(np.stack(histories()))
    ids = torch.from_numpy(np.stack([np.roll(IDS, shift) for shift in range(len(batch))]))
    scores = run(Call(*files), batch, ids)
    for row in range(len(batch)):
        np.testing.assert_array_equal(scores[row].numpy(), made.runner.scores(batch[row].numpy(), ids[row].numpy()))
    np.testing.assert_array_equal(run(Call(*files), batch[0], ids[0]).numpy(), scores[0].numpy())


def test_programs_of_different_masters_run_side_by_side(programs: Callable[..., Program], roomy: executorch_ops.Library) -> None:
    made = [programs("sasrec"), programs("sasrec", seed=1), programs("caser")]
    expected = [program.native().scores(HISTORY, IDS) for program in made]
    assert not np.array_equal(expected[0], expected[1])
    for _ in range(3):
        for program, scores in zip(made, expected, strict=True):
            np.testing.assert_array_equal(program.runner.scores(HISTORY, IDS), scores)
    assert roomy.counts().models == 3


def test_few_models_are_kept_when_few_are_allowed_and_scores_stay_right(
    programs: Callable[..., Program], roomy: executorch_ops.Library
) -> None:
    made = [programs("sasrec"), programs("sasrec", seed=1), programs("caser")]
    expected = [program.native().scores(HISTORY, IDS) for program in made]
    for limit in (2, 1, 0):
        roomy.limit(models=limit)
        before = roomy.counts()
        assert before.models <= limit
        for _ in range(2):
            for program, scores in zip(made, expected, strict=True):
                np.testing.assert_array_equal(program.runner.scores(HISTORY, IDS), scores)
        after = roomy.counts()
        assert after.models == limit
        assert after.opened - before.opened == 6  # the longest unused is always the one that comes next


def test_a_program_at_the_address_of_one_that_is_gone_gets_its_own_model(programs: Callable[..., Program], roomy: Any) -> None:
    made = [programs("sasrec", seed) for seed in (0, 1)]
    expected = [each.native().scores(HISTORY, IDS) for each in made]
    assert len(made[0].master.to_bytes()) == len(made[1].master.to_bytes())
    for turn in range(12):
        runner = made[turn % 2].load()
        np.testing.assert_array_equal(runner.scores(HISTORY, IDS), expected[turn % 2])
        del runner
        gc.collect()
    assert roomy.counts().models <= 8


def test_a_program_with_a_damaged_master_is_refused_when_it_is_loaded(programs: Callable[..., Program]) -> None:
    made = programs("caser")
    whole = made.master.to_bytes()
    for byte in (0, 100, len(whole) // 2, len(whole) - 1):
        spoilt = bytearray(whole)
        spoilt[byte] ^= 4
        with pytest.raises(CapabilityError, match=r"executorch-chord: chord::rerank: .*export it again"):
            load_runner("executorch-chord", made.data, master=bytes(spoilt))


def test_a_program_of_before_with_its_master_inside_is_run_as_ever(programs: Callable[..., Program]) -> None:
    made = programs("sasrec")
    files = [torch.from_numpy(np.frombuffer(data, np.uint8).copy()) for data in (made.master.to_bytes(), wire(made.master, made.widths))]
    whole = as_it_is(Call(*files), *(torch.ones((1, size), dtype=torch.int32) for size in (LENGTH, CANDIDATES)))
    for master in (None, made.master.to_bytes()):
        runner = ExecutorchChordRunner("executorch-chord", whole, 1, master)
        np.testing.assert_array_equal(runner.scores(HISTORY, IDS), made.runner.scores(HISTORY, IDS))


def test_a_program_is_refused_without_its_master_and_with_another(programs: Callable[..., Program]) -> None:
    made, alike, other = programs("sasrec"), programs("sasrec", seed=1), programs("caser")
    with pytest.raises(CapabilityError, match="is called with the master weights; give them beside it"):
        load_runner("executorch-chord", made.data)
    with pytest.raises(CapabilityError, match="not one of these master weights"):
        load_runner("executorch-chord", made.data, master=other.master.to_bytes())
    with pytest.raises(CapabilityError, match=r"chord::rerank: .*backbone"):
        load_runner("executorch-chord", made.data, master=alike.master.to_bytes())


def test_what_the_engine_cannot_run_is_refused_before_there_is_a_file() -> None:
    narrow = make_master(build(SASRecConfig(items=ITEMS, max_length=LENGTH, dim=8, blocks=1)))
    with pytest.raises(MasterError, match="dim"):
        executorch_chord.lower(narrow, mixed(narrow))
    master = make_master(random_backbone("sasrec"))
    with pytest.raises(StrategyError, match="do not fit"):
        executorch_chord.lower(master, mixed(master)[:-1])
    with pytest.raises(InputError, match="candidates"):
        executorch_chord.lower(master, mixed(master), 0)
    with pytest.raises(CapabilityError, match="fp32 is not supported: it runs from the int8 master"):
        lower(ArtifactSpec("executorch-chord", "fp32", CANDIDATES), random_backbone("sasrec"))


def test_a_program_without_the_personal_method_says_so(programs: Callable[..., Program]) -> None:
    from chordkit.export.program import export_program
    from chordkit.export.targets.executorch_chord_linear.lower import lower as lower_graph

    made = programs("caser")
    data = lower_graph(export_program((made.master, made.widths), CANDIDATES), ITEMS)
    with pytest.raises(CapabilityError, match="rerank_with"):
        ExecutorchChordRunner("executorch-chord", data, threads=1).scores_with(HISTORY, IDS, b"")
    with pytest.raises(CapabilityError, match="rerank_for"):
        ExecutorchChordRunner("executorch-chord", data, threads=1).scores_with(HISTORY, IDS, b"", b"")
