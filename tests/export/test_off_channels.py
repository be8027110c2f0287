"""Channels that are off are not in a file, and whoever leaves out another, or forgets a bias, is refused."""

import dataclasses
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chordkit.backbones import Backbone, SASRecConfig, build, from_master, make_master
from chordkit.backbones.architectures.caser import CaserConfig
from chordkit.backbones.architectures.gru4rec import GRU4RecConfig
from chordkit.export.artifact import Artifact, ArtifactSpec
from chordkit.export.judge import judge
from chordkit.export.parity import FP32_TOLERANCE, ParityReport, compare, draw, reference_scores, references, reranker_scores
from chordkit.export.program import Kept, export_program, kept_channels, off_channels, with_widths, without_off_channels
from chordkit.export.program.operators import channel_linear
from chordkit.export.targets import Kind, bytes_of, find_target, load_runner, lower
from chordkit.export.targets.executorch.graph import INT4, INT8, storage_groups
from chordkit.quantization import MasterLayer, MasterWeights
from chordkit.strategy import Strategy

ITEMS, LENGTH, CANDIDATES, DIM = 60, 8, 20, 32


def make(config: object, bias: float = 0.3) -> MasterWeights:
    """Weights as large as trained ones, with biases that no score can do without."""
    torch.manual_seed(0)
    backbone: Backbone = build(config)
    with torch.no_grad():
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, layer.in_features**-0.5)
            layer.bias.normal_(0, bias)
        backbone.item_embedding.weight[1:].normal_(0, 1)
    return make_master(backbone)


def sasrec(heads: int, **more: object) -> MasterWeights:
    return make(SASRecConfig(items=ITEMS, max_length=LENGTH, dim=DIM, heads=heads, **more))


@pytest.fixture(scope="module")
def masters() -> dict[int, MasterWeights]:
    return {1: sasrec(1, ffn_dim=48), 2: sasrec(2, activation="gelu", norm_first=True, blocks=1)}


def drawn(master: MasterWeights, share: float, seed: int = 0, on: tuple[int, ...] = (2, 4, 8)) -> np.ndarray:
    """Widths with exactly this share of the channels on."""
    generator = np.random.default_rng(seed)
    channels = master.channel_table.channels
    widths = generator.choice(np.array(on, np.uint8), channels)
    widths[generator.permutation(channels)[round(channels * share) :]] = 0
    return widths


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Histories, half of them short, and candidates."""
    generator = np.random.default_rng(0)
    histories, candidates = generator.integers(1, ITEMS + 1, (16, LENGTH)), generator.integers(1, ITEMS + 1, (16, CANDIDATES))
    histories[:8, : LENGTH // 2] = 0
    return histories.astype(np.int32), candidates.astype(np.int32)


def right(scores: np.ndarray, master: MasterWeights, widths: np.ndarray) -> bool:
    """Whether they are the reference's for :func:`inputs`."""
    expected = np.asarray(reference_scores(from_master(master, widths))(*inputs()))
    return compare(scores, expected, FP32_TOLERANCE.for_few(*scores.shape)).passed


# --- the pass on the program ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2])
def test_scores_stay_what_they_are_with_fewer_channels(masters: dict[int, MasterWeights], heads: int) -> None:
    master, given = masters[heads], inputs()
    traced = export_program((master, np.full(master.channel_table.channels, 8, np.uint8)), CANDIDATES)
    for share in (0.375, 0.25, 0.0):
        widths = drawn(master, share)
        dense = with_widths(traced, master, widths)
        program = without_off_channels(dense)
        scores = np.asarray(reranker_scores(program.module())(*given))
        assert right(scores, master, widths)
        kept = kept_channels(master, widths)
        for name in master.layers:
            codes, before = (each.state_dict[f"backbone.{name}.codes"] for each in (program, dense))
            rows, columns = (kept[name].rows, kept[name].columns) if name in kept else map(np.arange, before.shape)
            assert torch.equal(codes, before[rows][:, columns])
        if share < 0.3:
            assert {"blocks.0.ffn1", "blocks.0.ffn2", "blocks.0.value", "blocks.0.output", "blocks.0.query", "blocks.0.key"} <= set(kept)


@pytest.mark.parametrize("heads", [1, 2])
def test_a_channel_that_is_on_goes_only_with_a_key_that_is_off(masters: dict[int, MasterWeights], heads: int) -> None:
    master = masters[heads]
    for seed in range(20):
        widths = drawn(master, 0.3, seed)
        own = {name: widths[master.channel_table.layer_slice(name)] for name in master.layers}
        for name, left in kept_channels(master, widths).items():
            gone = np.setdiff1d(np.arange(len(own[name])), left.rows)
            partner = own[name.replace("query", "key")]
            assert not (own[name][gone] & partner[gone]).any()
            assert len(left.rows) % off_channels.MULTIPLE == 0 and len(left.columns) % off_channels.MULTIPLE == 0
            parts = heads if not name.endswith(("ffn1", "ffn2", "output")) else 1
            assert len(set(np.bincount(left.rows // (len(own[name]) // parts), minlength=parts))) == 1


def test_a_query_that_is_off_stays_with_its_key_unless_its_bias_is_zero(masters: dict[int, MasterWeights]) -> None:
    master = masters[1]
    widths = np.full(master.channel_table.channels, 8, np.uint8)
    widths[master.channel_table.layer_slice("blocks.0.query")] = 0
    assert kept_channels(master, widths) == {}
    layer = master.layers["blocks.0.query"]
    silent = dataclasses.replace(
        master,
        layers={**master.layers, "blocks.0.query": MasterLayer(layer.rows, np.zeros_like(layer.bias))},  # type: ignore[arg-type]
    )
    kept = kept_channels(silent, widths)
    assert {name: len(each.rows) for name, each in kept.items()} == {"blocks.0.query": 8, "blocks.0.key": 8}
    given = inputs()
    scores = np.asarray(reranker_scores(without_off_channels(export_program((silent, widths), CANDIDATES)).module())(*given))
    assert right(scores, silent, widths)


def test_filters_that_are_off_go_with_what_reads_their_largest(masters: dict[int, MasterWeights]) -> None:
    master = make(CaserConfig(items=ITEMS, max_length=LENGTH, dim=16, filters=24))
    widths = drawn(master, 0.3)
    widths[master.channel_table.layer_slice("vertical")] = [0, 8, 0, 4]
    program = without_off_channels(export_program((master, widths), CANDIDATES))
    assert right(np.asarray(reranker_scores(program.module())(*inputs())), master, widths)
    kept = kept_channels(master, widths)
    assert len(kept["vertical"].rows) == 2 and len(kept["horizontal.1"].rows) < 24
    assert len(kept["fc"].columns) == sum(len(kept[f"horizontal.{index}"].rows) for index in range(3)) + 2 * 16
    data = file_of("litert", master, widths, activations="int8")
    report = judged("litert", data, master, widths, activations="int8")
    assert report.passed, report.reasons


def test_what_has_no_such_reader_stays_whole(masters: dict[int, MasterWeights]) -> None:
    master = make(GRU4RecConfig(items=ITEMS, max_length=2, dim=16, hidden=16))
    program = export_program((master, drawn(master, 0.3)), CANDIDATES)
    assert without_off_channels(program) is program and kept_channels(master, drawn(master, 0.3)) == {}
    on = (masters[1], drawn(masters[1], 1.0))
    program = export_program(on, CANDIDATES)
    assert without_off_channels(program) is program and kept_channels(*on) == {}


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int, off: int = 0, bias: bool = True) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randint(-100, 100, (outputs, inputs), dtype=torch.int8))
        self.register_buffer("scales", torch.full((outputs,), 0.01))
        self.register_buffer("widths", torch.full((outputs,), 8, dtype=torch.uint8))
        self.register_buffer("bias", torch.randn(outputs) if bias else None)
        self.codes[:off] = 0
        self.widths[:off] = 0

    def forward(self, x: Tensor) -> Tensor:
        return channel_linear(x, self.codes, self.scales, self.widths, self.bias)


class _Chain(nn.Module):
    def __init__(self, bias: bool = True, twice: bool = False, read_elsewhere: bool = False) -> None:
        super().__init__()
        self.twice, self.read_elsewhere = twice, read_elsewhere
        self.backbone = nn.ModuleList([_Layer(32, 32, 20), _Layer(32, 32, 20, bias), _Layer(32, 5)])

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.backbone
        hidden = first(x)
        hidden = first(hidden) if self.twice else hidden
        result = last(torch.relu(second(torch.nn.functional.gelu(hidden))))
        return result + hidden.sum(1, keepdim=True) if self.read_elsewhere else result


@pytest.mark.parametrize(
    ("chain", "sizes"),
    [
        (_Chain(), [(16, 32), (16, 16), (5, 16)]),
        (_Chain(bias=False), [(32, 32), (16, 32), (5, 16)]),
        (_Chain(twice=True), [(32, 32), (16, 32), (5, 16)]),
        (_Chain(read_elsewhere=True), [(32, 32), (16, 32), (5, 16)]),
    ],
    ids=["a chain", "no bias to go into", "called twice", "read elsewhere"],
)
def test_a_channel_goes_where_one_layer_alone_reads_it_and_can_take_its_bias(chain: _Chain, sizes: list[tuple[int, int]]) -> None:
    x = torch.randn(3, 32)
    dense = torch.export.export(chain, (x,), strict=False).run_decompositions({})
    from chordkit.export.program.canonical import canonical

    program = without_off_channels(canonical(dense))
    assert [tuple(program.state_dict[f"backbone.{index}.codes"].shape) for index in range(3)] == sizes
    torch.testing.assert_close(program.module()(x), chain(x))


# --- files, and the gate -------------------------------------------------------------------------------------------------


def judged(target: str, data: bytes, master: MasterWeights, widths: np.ndarray, *, constants: bool = True, **more: object) -> ParityReport:
    histories, candidates = inputs()
    vectors = draw(histories, candidates[:, 0], ITEMS, count=16, candidates=CANDIDATES)
    vectors = vectors.with_scores(references(master, None, {"user": Strategy(widths, master.fingerprint)}))
    fields = {"activations": "fp32", "candidates": CANDIDATES, "strategy": "user", **more}
    artifact = Artifact(name="a", target=target, precision="strategy", **fields)
    return judge(artifact, load_runner(target, data), master, widths, vectors, data=data if constants else None)


def file_of(target: str, master: MasterWeights, widths: np.ndarray, **more: object) -> bytes:
    if find_target(target).installed() is None:
        pytest.skip(f"{target} is not installed")
    return lower(ArtifactSpec(target, "strategy", CANDIDATES, **more), (master, widths))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "heads", "share"),
    [("litert", 1, 0.375), ("onnx", 1, 0.375), ("openvino", 1, 0.375), ("litert", 2, 0.25), ("onnx", 2, 0.25), ("executorch", 2, 0.25)],
)
def test_files_without_channels_pass_the_gate_and_are_smaller(
    masters: dict[int, MasterWeights], target: str, heads: int, share: float
) -> None:
    master = masters[heads]
    widths = drawn(master, share)
    data = file_of(target, master, widths)
    report = judged(target, data, master, widths)
    assert report.passed, report.reasons
    told, stored = bytes_of(target, data), find_target(target).capability.stored_bits
    whole = sum(int(master.channel_table.in_features[widths == width].sum()) * stored[width] // 8 for width in (0, 2, 4, 8))
    assert sum(told.get(kind, 0) for kind in (Kind.WEIGHTS_2, Kind.WEIGHTS_4, Kind.WEIGHTS_8)) < whole


def test_activations_are_held_against_an_emulation_without_the_constants(masters: dict[int, MasterWeights]) -> None:
    master = masters[2]
    widths = drawn(master, 0.25)
    data, whole = (file_of("litert", master, widths, activations="int8", layout=layout) for layout in ("size", "speed"))
    errors = []
    for each, layout in ((data, "size"), (whole, "speed"), (whole, "size")):
        report = judged("litert", each, master, widths, constants=False, activations="int8", layout=layout)
        errors.append(report.emulation_rms_error or 0.0)
    assert max(errors[:2]) < 0.0005 < 0.001 < errors[2]


def test_beside_8_bits_alone_channels_that_are_off_need_no_tensor_of_their_own(masters: dict[int, MasterWeights]) -> None:
    master = masters[2]
    told = bytes_of("litert", file_of("litert", master, drawn(master, 0.25, on=(8,))))
    assert Kind.WEIGHTS_2 not in told and Kind.ORDERS not in told and told[Kind.WEIGHTS_8]
    for widths, groups in (([0, 8, 8], [INT8] * 3), ([0, 4, 8], [INT4, INT4, INT8]), ([0, 0], [INT4] * 2)):
        assert storage_groups(np.array(widths, np.uint8)).tolist() == groups


@pytest.fixture
def sound(masters: dict[int, MasterWeights]) -> Iterator[tuple[MasterWeights, np.ndarray, dict[str, Kept]]]:
    """A model whose right file the gate takes, and what that file keeps."""
    master = masters[1]
    widths = drawn(master, 0.25)
    assert judged("onnx", file_of("onnx", master, widths), master, widths).passed
    yield master, widths, kept_channels(master, widths)


@pytest.mark.parametrize("layer", ["blocks.0.value", "blocks.0.ffn1", "blocks.0.key"])
def test_a_file_without_a_channel_that_is_on_is_refused(sound: tuple[MasterWeights, np.ndarray, dict[str, Kept]], layer: str) -> None:
    master, widths, kept = sound
    own = widths[master.channel_table.layer_slice(layer)]
    channel = int(kept[layer].rows[own[kept[layer].rows] != 0][0])
    spare = int(np.setdiff1d(np.flatnonzero(own == 0), kept[layer].rows)[0])

    chosen = off_channels._chosen

    def wrong(needed: np.ndarray, heads: int, spread: int) -> np.ndarray:
        """Another channel in its place, in every layer that keeps it."""
        rows = chosen(needed, heads, spread)
        return np.sort(np.where(rows == channel, spare, rows)) if spare not in rows else rows

    with mock.patch.object(off_channels, "_chosen", wrong):
        data = file_of("onnx", master, widths)
    report = judged("onnx", data, master, widths)
    assert not report.passed
    assert not judged("onnx", data, master, widths, constants=False).passed
    assert "lacks the codes of channel" in str(find_target("onnx").problem_with_constants(data, master, widths))


def test_a_file_that_forgets_what_a_bias_leaves_is_refused(sound: tuple[MasterWeights, np.ndarray, dict[str, Kept]]) -> None:
    master, widths, _ = sound
    with mock.patch.object(off_channels, "_carry", lambda *_: None):
        data = file_of("onnx", master, widths)
    assert find_target("onnx").problem_with_constants(data, master, widths) is None
    assert not judged("onnx", data, master, widths).passed


def test_a_code_that_is_left_of_a_shorter_row_is_looked_up(sound: tuple[MasterWeights, np.ndarray, dict[str, Kept]]) -> None:
    master, widths, kept = sound
    name = "blocks.0.ffn2"
    layer = master.layers[name]
    channel = int(np.flatnonzero(widths[master.channel_table.layer_slice(name)] == 8)[0])
    codes = layer.rows.codes.copy()
    codes[channel, kept[name].columns[0]] ^= 1
    other = dataclasses.replace(
        master, layers={**master.layers, name: MasterLayer(dataclasses.replace(layer.rows, codes=codes), layer.bias)}
    )
    data = file_of("onnx", master, widths)
    target = find_target("onnx")
    with mock.patch.object(MasterWeights, "fingerprint", master.fingerprint):
        assert f"of layer {name} it lacks the codes of channel {channel} (1 channels in all)" in str(
            target.problem_with_constants(data, other, widths)
        )
