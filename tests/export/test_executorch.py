"""ExecuTorch files on the real runtime: the reference's scores from one XNNPACK delegate, with 8 and 4-bit weights."""

import sys

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, initialise
from chordkit.backbones.master import from_master, make_master
from chordkit.errors import CapabilityError, MissingRuntimeError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.program import export_program
from chordkit.export.targets import EagerRunner, Kind, bytes_of, load_runner, lower
from chordkit.export.targets.executorch import lower as target
from chordkit.quantization import MasterWeights

pytestmark = pytest.mark.long

ITEMS, CANDIDATES, DIM = 50, 12, 16
# float32 sums in another order: 4 sqrt(K) unit roundoffs for each of up to 16 sums in series, K <= 256 terms.
TOLERANCE = 16 * 4 * np.sqrt(256) * 2.0**-24
CONFIGS = {
    "post-norm": SASRecConfig(items=ITEMS, max_length=10, dim=DIM, heads=2, blocks=2),
    "pre-norm-gelu-wide": SASRecConfig(
        items=ITEMS, max_length=10, dim=DIM, heads=4, blocks=1, ffn_dim=4 * DIM, activation="gelu", norm_first=True
    ),
    # One head, and rows of an odd number of 4-bit codes (a vertical filter over 9 slots).
    "one-head": SASRecConfig(items=ITEMS, max_length=10, dim=DIM, heads=1, blocks=1),
    "caser": CaserConfig(items=ITEMS, max_length=9, dim=DIM, heights=(1, 3), filters=5, vertical_filters=3, item_bias=True),
}
CASES = [
    ("one-head", "fp32"),
    ("post-norm", "mix"),
    ("pre-norm-gelu-wide", "mix"),
    ("one-head", "int8"),
    ("one-head", "all-int2"),
    ("one-head", "one-channel-groups"),
    ("caser", "fp32"),
    ("caser", "mix"),
]


def random_backbone(config):
    backbone = initialise(build(config), "random", seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
            elif "embedding" in name:
                parameter *= 20
    return backbone


def widths_of(master: MasterWeights, kind: str):
    channels = master.channel_table.channels
    if kind == "mix":
        return np.random.default_rng(0).choice(np.array([0, 2, 4, 8], np.uint8), channels, p=[0.1, 0.4, 0.3, 0.2])
    widths = np.full(channels, {"int8": 8, "all-int2": 2, "one-channel-groups": 4}[kind], np.uint8)
    if kind == "one-channel-groups":
        for layer in master.channel_table.layers:
            widths[layer.offset + layer.out_channels // 2] = 8
    return widths


class Artifact:
    def __init__(self, name, kind):
        self.backbone = backbone = random_backbone(CONFIGS[name])
        if kind == "fp32":
            self.reference, self.source, precision = backbone, backbone, "fp32"
        else:
            master = make_master(backbone)
            widths = widths_of(master, kind)
            self.reference, self.source = from_master(master, widths), (master, widths)
            precision = "int8" if kind == "int8" else "strategy"
        self.spec = ArtifactSpec("executorch", precision, CANDIDATES)
        self.data = lower(self.spec, self.source)

    def error(self, reference=None):
        """Largest error over full, half and nearly empty histories, relative to the largest score."""
        runner, eager = load_runner("executorch", self.data), EagerRunner(reference or self.reference)
        generator = np.random.default_rng(1)
        worst, largest = 0.0, 0.0
        for real in (runner.length, runner.length // 2, 1):
            history = np.zeros(runner.length, np.int32)
            history[-real:] = generator.integers(1, ITEMS + 1, real)
            candidates = generator.integers(1, ITEMS + 1, CANDIDATES).astype(np.int32)
            expected = eager.scores(history, candidates)
            worst = max(worst, float(np.abs(runner.scores(history, candidates) - expected).max()))
            largest = max(largest, float(np.abs(expected).max()))
        return worst / largest


@pytest.fixture(scope="module")
def artifact():
    """Each artifact once: an export takes seconds."""
    made: dict[tuple[str, str], Artifact] = {}

    def get(name: str, kind: str) -> Artifact:
        if (name, kind) not in made:
            made[name, kind] = Artifact(name, kind)
        return made[name, kind]

    return get


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_scores_are_the_references(artifact, name, kind):
    assert artifact(name, kind).error() < TOLERANCE


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_xnnpack_runs_all_but_lookups_mask_and_maxima(artifact, name, kind):
    from executorch.exir._serialize._program import deserialize_pte_binary

    program = deserialize_pte_binary(artifact(name, kind).data).program
    plan = next(plan for plan in program.execution_plan if plan.name == "forward")
    # Caser's maxima over windows have no XNNPACK operator: one delegate before them, one after.
    assert [delegate.id for delegate in plan.delegates] == ["XnnpackBackend"] * (2 if name == "caser" else 1)
    operators = {operator.name.partition("::")[2] for operator in plan.operators}
    assert operators <= {"embedding", "embedding_byte", "_to_dim_order_copy", "eq", "where", "amax"}


def test_a_strategy_with_two_channels_swapped_is_seen(artifact):
    made = artifact("one-head", "one-channel-groups")
    master, widths = made.source
    other = widths.copy()
    first = master.channel_table.layers[0]
    place = first.offset + first.out_channels // 2
    other[[place, place + 1]] = other[[place + 1, place]]
    assert made.error(from_master(master, other)) > 10 * TOLERANCE


def test_four_bit_channels_take_half_the_bytes_and_two_bit_channels_no_fewer(artifact):
    int8, int2 = artifact("one-head", "int8"), artifact("one-head", "all-int2")
    weights = int(int8.source[0].channel_table.in_features.sum())
    # Constants are padded, by up to 128 bytes each; there are six layers, and the file rounds up once more.
    assert abs(len(int8.data) - len(int2.data) - weights // 2) <= 7 * 128


def test_the_same_source_gives_the_same_bytes(artifact):
    made = artifact("caser", "mix")
    assert lower(made.spec, made.source) == made.data


def test_without_regrouping_the_scores_are_the_same_and_more_channels_take_8_bits(artifact):
    made = artifact("caser", "mix")
    plain = Artifact.__new__(Artifact)
    plain.reference, plain.data = made.reference, target.lower(export_program(made.source, CANDIDATES), ITEMS)
    assert plain.error() < TOLERANCE
    wide = [bytes_of("executorch", each.data)[Kind.WEIGHTS_8] for each in (plain, made)]
    assert wide[0] > wide[1]


def test_loading_says_nothing(artifact, capfd):
    made = artifact("caser", "fp32")
    load_runner("executorch", made.data, threads=2)
    load_runner("executorch", made.data)
    assert capfd.readouterr() == ("", "")


def test_an_operator_without_a_lowering_is_refused():
    class Sine(torch.nn.Module):
        def forward(self, x):
            return torch.sin(x)

    with pytest.raises(CapabilityError, match=r"aten\.sin"):
        target.lower(torch.export.export(Sine(), (torch.ones(1, 2),)), ITEMS)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch.exir", None)
    with pytest.raises(MissingRuntimeError, match=r"chordkit\[executorch\]"):
        lower(ArtifactSpec("executorch", "fp32", CANDIDATES), random_backbone(CONFIGS["caser"]))
