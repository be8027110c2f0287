"""``chord::linear`` in ExecuTorch programs: layers of mixed widths by the definition, and whole models by the emulated reference."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, initialise, make_master
from chordkit.errors import CapabilityError, InputError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, VectorSet, draw, references
from chordkit.export.program import export_program
from chordkit.export.targets import load_runner
from chordkit.export.targets import lower as lower_spec
from chordkit.export.targets.executorch import quiet
from chordkit.export.targets.executorch_chord_linear.lower import ChordLinearGraph, lower
from chordkit.export.targets.native.runner import NativeRunner
from chordkit.kernels.executorch import library as executorch_ops
from chordkit.kernels.executorch import torch_ops
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, to_wire

pytest.importorskip("executorch")

pytestmark = pytest.mark.long

ITEMS, LENGTH, CANDIDATES = 40, 10, 20
CONFIGS = {
    "sasrec": SASRecConfig(items=ITEMS, max_length=LENGTH, dim=32, heads=2, blocks=2),
    "gelu": SASRecConfig(items=ITEMS, max_length=LENGTH, dim=32, heads=1, blocks=1, ffn_dim=64, activation="gelu", norm_first=True),
    "caser": CaserConfig(items=ITEMS, max_length=LENGTH, dim=32, heights=(1, 3), filters=8, vertical_filters=2),
}


@pytest.fixture(scope="module")
def library() -> Iterator[executorch_ops.Library]:
    library = executorch_ops.load()
    yield library
    library.limit()
    library.trim()


# --- one layer ------------------------------------------------------------------------------------------------------


@dataclass
class Layer:
    """Constants of a layer with random widths."""

    codes: torch.Tensor
    scales: torch.Tensor
    widths: torch.Tensor
    bias: torch.Tensor | None

    @classmethod
    def random(cls, out: int, features: int, bias: bool = True, seed: int = 0) -> "Layer":
        generator = np.random.default_rng(seed)
        widths = generator.choice(np.array([0, 2, 4, 8], np.uint8), out)
        low, high = (
            np.array([limits[width] for width in widths])[:, None] for limits in ({0: 0, 2: -2, 4: -7, 8: -127}, {0: 0, 2: 1, 4: 7, 8: 127})
        )
        codes = generator.integers(low, high + 1, (out, features)).astype(np.int8)
        scales = generator.uniform(0.01, 0.1, out).astype(np.float32)
        biases = torch.from_numpy(generator.standard_normal(out).astype(np.float32)) if bias else None
        return cls(torch.from_numpy(codes), torch.from_numpy(scales), torch.from_numpy(widths), biases)

    @property
    def digest(self) -> int:
        return torch_ops.layer_digest(self.codes, self.scales, self.widths, self.bias)

    def defined(self, x: np.ndarray, relu: bool) -> np.ndarray:
        """The layer in float64: rows of ``x [..., in]`` to codes -127..127, integer sums, scales, bias."""
        most = np.abs(x).max(-1, keepdims=True)
        codes = np.rint(x.astype(np.float64) * np.where(most > 0, np.float32(127) / np.where(most > 0, most, np.float32(1)), 0))
        y = codes @ self.codes.numpy().astype(np.float64).T * self.scales.numpy() * (most / 127.0)
        y = y if self.bias is None else y + self.bias.numpy()
        return np.maximum(y, 0) if relu else y


class Calls(torch.nn.Module):
    """``chord::linear`` with a layer's constants baked in."""

    def __init__(self, layer: Layer, relu: bool = False, digest: int | None = None) -> None:
        super().__init__()
        for name in ("codes", "scales", "widths", "bias"):
            self.register_buffer(name, getattr(layer, name))
        self.relu, self.digest = relu, layer.digest if digest is None else digest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.chord.linear(x, self.codes, self.scales, self.widths, self.bias, self.relu, self.digest)


def method_of(module: torch.nn.Module, *inputs: torch.Tensor) -> Any:
    """The module lowered as it is and loaded: the program (to be kept) and its method."""
    from executorch.exir import EdgeCompileConfig, to_edge
    from executorch.runtime import Runtime

    with quiet():
        exported = torch.export.export(module, inputs, strict=False)
        data = bytes(to_edge(exported, compile_config=EdgeCompileConfig(_check_ir_validity=False)).to_executorch().buffer)
        program = Runtime.get().load_program(data)
        return program, program.load_method("forward")


def tensor_of(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


# 600 x 900 panels are larger than CHORD_LINEAR_DIRECT_BYTES: the layer is kept at its own widths.
@pytest.mark.parametrize(("out", "features"), [(1, 1), (16, 16), (17, 15), (64, 64), (33, 70), (600, 900)])
@pytest.mark.parametrize("relu", [False, True])
def test_a_layer_of_mixed_widths_is_its_definition(library: executorch_ops.Library, out: int, features: int, relu: bool) -> None:
    layer = Layer.random(out, features, bias=out != 33)
    x = tensor_of(5, features)
    _, method = method_of(Calls(layer, relu), x)
    for inputs in (x, 3 * tensor_of(5, features, seed=2), torch.zeros(5, features)):
        y = method.execute((inputs,))[0].numpy()
        expected = layer.defined(inputs.numpy(), relu)
        # Scale, row scale and bias round once each, relative to the largest term.
        size = np.abs(layer.defined(inputs.numpy(), False)).max() + 1
        np.testing.assert_allclose(y, expected, rtol=0, atol=4 * 2.0**-24 * size)
        np.testing.assert_array_equal(y, Calls(layer, relu)(inputs).numpy())


def test_leading_dimensions_are_rows(library: executorch_ops.Library) -> None:
    layer, x = Layer.random(20, 24), tensor_of(2, 3, 24)
    _, method = method_of(Calls(layer), x)
    y = method.execute((x,))[0].numpy()
    assert y.shape == (2, 3, 20)
    np.testing.assert_array_equal(y.reshape(6, 20), Calls(layer)(x.reshape(6, 24)).numpy())
    _, single = method_of(Calls(layer), x[0, 0].clone())
    np.testing.assert_array_equal(single.execute((x[0, 0].clone(),))[0].numpy(), y[0, 0])


def test_a_layer_is_packed_once_and_kept_within_the_limit(library: executorch_ops.Library) -> None:
    library.trim()
    x = tensor_of(4, 32)
    layers = [Layer.random(16, 32, seed=seed) for seed in range(3)]
    kept = [method_of(Calls(layer), x) for layer in layers]
    before = library.counts()
    for _ in range(3):
        for (_, method), layer in zip(kept, layers, strict=True):
            np.testing.assert_array_equal(method.execute((x,))[0].numpy(), Calls(layer)(x).numpy())
    after = library.counts()
    assert (after.layers, after.opened - before.opened) == (3, 3)
    library.limit(layers=1)
    for (_, method), layer in zip(kept, layers, strict=True):
        np.testing.assert_array_equal(method.execute((x,))[0].numpy(), Calls(layer)(x).numpy())
        assert library.counts().layers == 1
    library.limit()


def spoilt(layer: Layer, **changes: Callable[[torch.Tensor], torch.Tensor]) -> Layer:
    fields = {name: getattr(layer, name) for name in ("codes", "scales", "widths", "bias")}
    return Layer(**{name: changes[name](value) if name in changes else value for name, value in fields.items()})


def outside_the_grid(widths: torch.Tensor) -> torch.Tensor:
    return torch.full_like(widths, 2)


@pytest.mark.parametrize(
    ("change", "x", "reason"),
    [
        ({"codes": lambda t: t.int()}, tensor_of(4, 32), "codes must be int8"),
        ({"codes": lambda t: t[None]}, tensor_of(4, 32), "codes must be int8"),
        ({"scales": lambda t: t.double()}, tensor_of(4, 32), "scales and bias must be float32"),
        ({"scales": lambda t: t[:-1].clone()}, tensor_of(4, 32), "scales and bias must be float32"),
        ({"widths": lambda t: t.to(torch.int8)}, tensor_of(4, 32), "widths uint8"),
        ({"bias": lambda t: t[:3].clone()}, tensor_of(4, 32), "bias"),
        ({}, tensor_of(4, 31), "x must be float32"),
        ({}, tensor_of(4, 32).double(), "x must be float32"),
        ({"widths": outside_the_grid}, tensor_of(4, 32), "grid"),
        ({"widths": lambda t: torch.full_like(t, 3)}, tensor_of(4, 32), "width 3"),
        ({"scales": lambda t: torch.full_like(t, torch.nan)}, tensor_of(4, 32), "not finite"),
    ],
)
def test_wrong_shapes_types_and_codes_are_refused(
    library: executorch_ops.Library, change: dict[str, Callable[[torch.Tensor], torch.Tensor]], x: torch.Tensor, reason: str
) -> None:
    _, method = method_of(Calls(spoilt(Layer.random(16, 32), **change)), x)
    with pytest.raises(RuntimeError, match="0x12"):
        method.execute((x,))
    assert library.last_error().startswith("chord::linear: ") and reason in library.last_error()


def test_another_layers_digest_is_refused_by_operator_and_eager_kernel(library: executorch_ops.Library) -> None:
    layer, x = Layer.random(16, 32), tensor_of(4, 32)
    for wrong in (0, layer.digest ^ 1, Layer.random(16, 32, seed=1).digest):
        _, method = method_of(Calls(layer, digest=wrong), x)
        with pytest.raises(RuntimeError, match="0x12"):
            method.execute((x,))
        assert "digest" in library.last_error()
        with pytest.raises(InputError, match="digest"):
            Calls(layer, digest=wrong)(x)


def test_an_input_that_is_not_finite_is_refused_and_the_next_call_is_right(library: executorch_ops.Library) -> None:
    layer, x = Layer.random(16, 32), tensor_of(4, 32)
    _, method = method_of(Calls(layer, relu=True), x)
    expected = method.execute((x,))[0].clone()
    for wrong in (float("nan"), float("inf"), -float("inf")):
        spoilt_x = x.clone()
        spoilt_x[2, 5] = wrong
        with pytest.raises(RuntimeError, match="0x12"):
            method.execute((spoilt_x,))
        assert "chord::linear: the result is not finite" in library.last_error()
        with pytest.raises(InputError, match="row 2 is not finite"):
            Calls(layer, relu=True)(spoilt_x)
        assert torch.equal(method.execute((x,))[0], expected)


# --- whole models ---------------------------------------------------------------------------------------------------


@dataclass
class Made:
    master: MasterWeights
    widths: np.ndarray
    vectors: VectorSet
    data: bytes

    @property
    def spec(self) -> ArtifactSpec:
        return ArtifactSpec("executorch-chord-linear", "strategy", CANDIDATES, activations="int8")

    def report(self, data: bytes, target: str = "executorch-chord-linear") -> ParityReport:
        artifact = Described(target)
        runner = load_runner(target, data, master=self.master.to_bytes())
        return judge(artifact, runner, self.master, self.widths, self.vectors)


@dataclass(frozen=True)
class Described:
    """What the judge asks of an artifact."""

    target: str
    precision: str = "strategy"
    activations: str = "int8"
    reference: str = "user"
    layout: str = "size"
    user_vector: bool = False
    top: int | None = None
    batch: int = 1
    catalogue: bool = False


@pytest.fixture(scope="module")
def made(library: executorch_ops.Library) -> Callable[[str], Made]:
    kept: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in kept:
            backbone = initialise(build(CONFIGS[name]), "random", seed=0).eval()
            with torch.no_grad():
                for parameter in backbone.parameters():
                    if parameter.dim() == 1:
                        parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            master = make_master(backbone)
            widths = np.random.default_rng(0).choice(
                np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels, p=[0.1, 0.3, 0.3, 0.3]
            )
            generator = np.random.default_rng(1)
            histories = generator.integers(1, ITEMS + 1, (30, LENGTH)).astype(np.int32)
            for row, history in enumerate(histories):
                history[: row % LENGTH] = 0
            vectors = draw(histories, generator.integers(1, ITEMS + 1, 30), ITEMS, count=30, candidates=CANDIDATES)
            strategy = Strategy(widths, master.fingerprint)
            vectors = vectors.with_scores({"user": references(master, None, {"user": strategy})["user"]})
            data = lower(export_program((master, widths), CANDIDATES), ITEMS)
            kept[name] = Made(master, widths, vectors, data)
        return kept[name]

    return get


@pytest.mark.parametrize("name", CONFIGS)
def test_scores_are_the_references_with_quantised_activations(made: Callable[[str], Made], name: str) -> None:
    report = made(name).report(made(name).data)
    assert report.emulation_rms_error is not None
    assert report.passed, report.reasons


def swapped(made: Made) -> np.ndarray:
    """The strategy with two neighbouring channels' widths exchanged, an int8 and an int2 one of the first layer where there are."""
    widths = made.widths.copy()
    first = widths[: made.master.channel_table.layers[0].out_channels]
    eight, two = int(np.flatnonzero(first == 8)[0]), int(np.flatnonzero(first == 2)[0])
    widths[[eight, two]] = widths[[two, eight]]
    return widths


@pytest.mark.parametrize("target", ["executorch-chord", "executorch-chord-linear"])
def test_the_parity_gate_sees_two_channels_swapped(made: Callable[[str], Made], target: str) -> None:
    model = made("sasrec")
    spec = ArtifactSpec(target, "strategy", CANDIDATES, activations="int8")
    right = lower_spec(spec, (model.master, model.widths))
    wrong = lower_spec(spec, (model.master, swapped(model)))
    assert model.report(right, target).passed
    report = model.report(wrong, target)
    assert not report.passed and any("emulation" in reason for reason in report.reasons)


def test_the_engine_in_one_operator_meets_its_emulation_exactly(made: Callable[[str], Made]) -> None:
    model = made("caser")
    spec = ArtifactSpec("executorch-chord", "strategy", CANDIDATES, activations="int8")
    report = model.report(lower_spec(spec, (model.master, model.widths)), "executorch-chord")
    assert report.passed and report.emulation_max_error == 0
    native = NativeRunner(model.master.to_bytes(), to_wire(Strategy(model.widths, model.master.fingerprint)), CANDIDATES)
    assert judge(Described("native"), native, model.master, model.widths, model.vectors) == report


@pytest.mark.parametrize("name", ["sasrec", "caser"])
def test_every_strategy_layer_is_one_operator_with_its_relu(made: Callable[[str], Made], name: str) -> None:
    from executorch.exir._serialize._program import deserialize_pte_binary

    model = made(name)
    plan = next(plan for plan in deserialize_pte_binary(model.data).program.execution_plan if plan.name == "forward")
    names = [f"{operator.name}.{operator.overload}" for operator in plan.operators]
    place = names.index("chord::linear.out")
    calls = [one for chain in plan.chains for one in chain.instructions if getattr(one.instr_args, "op_index", None) == place]
    assert len(calls) == len(model.master.channel_table.layers)
    assert not any("relu" in operator for operator in names)


def test_a_program_without_quantised_layers_and_fp32_are_refused() -> None:
    backbone = build(CONFIGS["sasrec"]).eval()
    with pytest.raises(CapabilityError, match="no quantised layer"):
        ChordLinearGraph(export_program(backbone, CANDIDATES))
    with pytest.raises(CapabilityError, match="int8, int4 and int2 weights"):
        lower_spec(ArtifactSpec("executorch-chord-linear", "fp32", CANDIDATES), backbone)


def test_the_program_that_was_given_is_left_as_it_is(made: Callable[[str], Made]) -> None:
    model = made("sasrec")
    program = export_program((model.master, model.widths), CANDIDATES)
    before = [str(node.target) for node in program.graph.nodes]
    assert lower(program, ITEMS) == model.data
    assert [str(node.target) for node in program.graph.nodes] == before
