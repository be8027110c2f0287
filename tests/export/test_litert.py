"""LiteRT artifacts, run by the real interpreter, against the PyTorch reference."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, CatalogueScorer, Reranker, SASRecConfig, build
from chordkit.backbones.master import from_master, make_master
from chordkit.export.program import export_program, with_widths
from chordkit.export.targets.litert import lower as litert
from chordkit.export.targets.litert.describe import describe
from chordkit.export.targets.litert.graph import pack
from chordkit.quantization import MasterWeights, select_codes

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

pytestmark = pytest.mark.long

ITEMS, CANDIDATES = 120, 20
SASREC = {
    "post-norm-1-head": SASRecConfig(items=ITEMS, heads=1),
    "post-norm-2-heads-gelu": SASRecConfig(items=ITEMS, heads=2, activation="gelu"),
    "pre-norm-4-heads-ffn4x": SASRecConfig(items=ITEMS, heads=4, norm_first=True, ffn_dim=256),
    "pre-norm-1-head-gelu-short": SASRecConfig(items=ITEMS, heads=1, norm_first=True, activation="gelu", max_length=7, dim=24, blocks=3),
    "one-slot": SASRecConfig(items=ITEMS, heads=2, max_length=1, dim=8),
}
CASER = {
    "caser": CaserConfig(items=ITEMS),
    "caser-bias-heights": CaserConfig(items=ITEMS, item_bias=True, heights=(1, 3, 50), filters=5, vertical_filters=3),
}
CONFIGS = {**SASREC, **CASER}


@dataclass
class Case:
    """A backbone, its master, and each strategy exported once."""

    config: SASRecConfig | CaserConfig
    backbone: torch.nn.Module
    master: MasterWeights
    programs: dict = field(default_factory=dict)

    def strategy(self, name):
        """The exported program of a named strategy and the reference it is measured against."""
        if name not in self.programs:
            widths = STRATEGIES[name](self.master.channel_table.channels).astype(np.uint8)
            traced = [program for program, _ in self.programs.values()][:1]
            exported = with_widths(traced[0], self.master, widths) if traced else export_program((self.master, widths), CANDIDATES)
            self.programs[name] = exported, from_master(self.master, widths)
        return self.programs[name]


@pytest.fixture(scope="module", params=list(CONFIGS))
def case(request):
    """One of the configurations with random weights."""
    torch.manual_seed(7)
    backbone = build(CONFIGS[request.param]).eval()
    # Random biases and norms: with those of initialisation (0 and 1) a lost bias would go unseen.
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.dim() == 1:
                parameter += torch.randn_like(parameter) * 0.2
            elif "embedding" not in name:
                parameter *= 1.5
    return Case(backbone.config, backbone, make_master(backbone))


class Artifact:
    """A loaded ``.tflite`` file, one thread."""

    def __init__(self, data):
        self.interpreter = interpreter.Interpreter(model_content=data, num_threads=1)
        self.runner = self.interpreter.get_signature_runner("serving_default")

    def scores(self, **ids):
        return self.runner(**ids)["scores"]


def requests(config, count=12, seed=0):
    """Histories of mixed lengths, left-padded, with candidates."""
    random = np.random.default_rng(seed)
    for number in range(count):
        length = 1 + number * (config.max_length - 1) // (count - 1)
        history = np.zeros((1, config.max_length), np.int32)
        history[0, -length:] = random.integers(1, ITEMS + 1, length)
        yield history, random.integers(1, ITEMS + 1, (1, CANDIDATES)).astype(np.int32)


def worst_error(artifact, reference, config):
    """Largest difference over all requests, in units of the largest reference score."""
    difference, scale = 0.0, 0.0
    module = Reranker(reference)
    for history, candidates in requests(config):
        with torch.no_grad():
            expected = module(torch.from_numpy(history), torch.from_numpy(candidates)).numpy()
        scores = artifact.scores(history=history, candidates=candidates)
        assert scores.shape == expected.shape and scores.dtype == np.float32
        difference = max(difference, float(np.abs(scores - expected).max()))
        scale = max(scale, float(np.abs(expected).max()))
    return difference / scale


# Reordering a float32 sum of n terms moves it by about sqrt(n) roundings of 2^-24 of its magnitude; the longest chain
# has 3 blocks x 8 sums of up to 304 terms, and a factor 2 covers the norms' divisions. About 5e-5 of the largest score.
FLOAT_TOLERANCE = 2 * 24 * np.sqrt(304) * 2.0**-24
# 8 bits per activation row: a step of range/255, uniform error step/sqrt(12), so with a range of 6 to 8 deviations about
# 0.8 % of a row's deviation for each layer; Caser and SASRec have 3 to 12 in sequence on a residual stream, and the
# worst of 240 scores lies 3 deviations out: 0.8 % x sqrt(6) x 3.
INT8_TOLERANCE = 0.008 * np.sqrt(6) * 3

STRATEGIES = {
    "int8": lambda n: np.full(n, 8),
    "int4": lambda n: np.full(n, 4),
    "int2": lambda n: np.full(n, 2),
    "mixed": lambda n: np.random.default_rng(1).choice([2, 4, 8], n, p=[0.65, 0.2, 0.15]),
    "with-off-channels": lambda n: np.random.default_rng(2).choice([0, 2, 4, 8], n),
    # Groups of a single channel: the first channel of every 16 is alone in its width or nearly so.
    "lonely": lambda n: np.where(np.arange(n) % 16 == 0, 2, np.where(np.arange(n) % 16 == 5, 4, 8)),
}


def test_float32_scores_are_those_of_the_backbone(case):
    artifact = Artifact(litert.lower(export_program(case.backbone, CANDIDATES)))
    assert worst_error(artifact, case.backbone, case.config) < FLOAT_TOLERANCE


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_strategies_score_as_the_dequantised_reference(case, name):
    exported, reference = case.strategy(name)
    assert worst_error(Artifact(litert.lower(exported)), reference, case.config) < FLOAT_TOLERANCE


@pytest.mark.parametrize("name", ["int8", "int4", "int2", "mixed"])
def test_int8_activations_cost_what_their_step_explains(case, name):
    exported, reference = case.strategy(name)
    error = worst_error(Artifact(litert.lower(exported, "int8")), reference, case.config)
    assert FLOAT_TOLERANCE < error < INT8_TOLERANCE


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("architecture", ["post-norm-1-head", "pre-norm-4-heads-ffn4x", "caser"])
def test_every_padding_length_scores_as_the_reference(architecture, quantised):
    config = CONFIGS[architecture]
    torch.manual_seed(3)
    backbone = build(config).eval()
    source = backbone
    if quantised:
        master = make_master(backbone)
        source = (master, STRATEGIES["mixed"](master.channel_table.channels).astype(np.uint8))
        backbone = from_master(*source)
    artifact = Artifact(litert.lower(export_program(source, CANDIDATES)))
    random = np.random.default_rng(0)
    candidates = random.integers(1, ITEMS + 1, (1, CANDIDATES)).astype(np.int32)
    histories = np.zeros((50, 50), np.int32)
    for length in range(1, 51):
        histories[length - 1, -length:] = random.integers(1, ITEMS + 1, length)
    with torch.no_grad():
        expected = Reranker(backbone)(torch.from_numpy(histories), torch.from_numpy(np.repeat(candidates, 50, 0))).numpy()
    scores = np.concatenate([artifact.scores(history=history[None], candidates=candidates) for history in histories])
    assert np.abs(scores - expected).max() < FLOAT_TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("quantised", [False, True])
def test_the_whole_catalogue_can_be_scored(quantised):
    config = SASREC["post-norm-2-heads-gelu"]
    torch.manual_seed(3)
    source = reference = build(config).eval()
    if quantised:
        master = make_master(reference)
        source = (master, STRATEGIES["mixed"](master.channel_table.channels).astype(np.uint8))
        reference = from_master(*source)
    artifact = Artifact(litert.lower(export_program(source, None)))
    for history, _ in requests(config, 3):
        with torch.no_grad():
            expected = CatalogueScorer(reference)(torch.from_numpy(history)).numpy()
        assert np.abs(artifact.scores(history=history) - expected).max() < FLOAT_TOLERANCE * np.abs(expected).max()


def test_int4_tables_are_read_exactly():
    config = SASREC["post-norm-1-head"]
    torch.manual_seed(3)
    master = make_master(build(config).eval(), embedding_bits=4)
    widths = STRATEGIES["int8"](master.channel_table.channels).astype(np.uint8)
    data = litert.lower(export_program((master, widths), CANDIDATES))
    assert describe(data).tensors["INT4"].constant_bytes == (ITEMS + 1 + config.max_length) * config.dim // 2
    assert worst_error(Artifact(data), from_master(master, widths), config) < FLOAT_TOLERANCE


def test_two_swapped_channels_do_not_pass():
    config = SASREC["post-norm-1-head"]
    torch.manual_seed(3)
    master = make_master(build(config).eval())
    widths = STRATEGIES["mixed"](master.channel_table.channels).astype(np.uint8)
    data = litert.lower(export_program((master, widths), CANDIDATES))
    # Two int4 channels of one layer, found in the file by their packed bytes.
    name = "blocks.0.ffn2"
    chosen = widths[master.channel_table.layer_slice(name)]
    codes, _ = select_codes(master.layers[name].rows, chosen)
    order = np.argsort(widths[master.channel_table.layer_slice("blocks.0.ffn1")], kind="stable")
    first, second = (pack(codes[channel, order], 4) for channel in np.flatnonzero(chosen == 4)[:2])
    assert data.count(first) == data.count(second) == 1
    swapped = bytearray(data)
    for old, new in ((first, second), (second, first)):
        start = data.index(old)
        swapped[start : start + len(old)] = new
    reference = from_master(master, widths)
    assert worst_error(Artifact(data), reference, config) < FLOAT_TOLERANCE
    # One such swap moves the scores by about 3 %: float32 activations leave no doubt, int8 activations would hide it.
    assert worst_error(Artifact(bytes(swapped)), reference, config) > 100 * FLOAT_TOLERANCE


def test_an_id_outside_the_catalogue_is_an_error_and_not_a_read():
    config = SASREC["post-norm-1-head"]
    artifact = Artifact(litert.lower(export_program(build(config).eval(), CANDIDATES)))
    history, candidates = next(requests(config))
    candidates[0, 3] = ITEMS + 1
    with pytest.raises(RuntimeError, match="gather"):
        artifact.scores(history=history, candidates=candidates)
