"""The whole re-ranker: one backbone, one strategy at 3.0 bits, and the reference that every contender is held against."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from chordkit.backbones import Backbone, BackboneConfig, CaserConfig, SASRecConfig, build, from_master, make_master
from chordkit.export.artifact import Precision
from chordkit.export.parity import FP32_TOLERANCE, INT8_ACTIVATION_TOLERANCE, Tolerance, compare
from chordkit.export.targets import EagerRunner
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, encode
from contest.contender import Contender

ITEMS = 3707
_DEFAULT, _ONE_HEAD = {"items": ITEMS, "heads": 2, "norm_first": False}, {"items": ITEMS, "heads": 1, "norm_first": True}
_LONG = {"max_length": 200, "blocks": 4}
CONFIGS = {
    "sasrec": SASRecConfig(**_ONE_HEAD),
    "sasrec, 2 heads, norms last": SASRecConfig(**_DEFAULT),
    "sasrec, d = 128": SASRecConfig(**_ONE_HEAD, dim=128),
    "sasrec, d = 128, 2 heads, norms last": SASRecConfig(**_DEFAULT, dim=128),
    "sasrec, d = 256": SASRecConfig(**_ONE_HEAD, dim=256),
    "sasrec, d = 256, 2 heads, norms last": SASRecConfig(**_DEFAULT, dim=256),
    "caser": CaserConfig(items=ITEMS),
    "sasrec, d = 128, ffn 512, L = 200, 4 blocks": SASRecConfig(**_ONE_HEAD, **_LONG, dim=128, ffn_dim=512),
    "sasrec, d = 256, ffn 1024, L = 200, 4 blocks": SASRecConfig(**_ONE_HEAD, **_LONG, dim=256, ffn_dim=1024),
}
LARGE = [name for name in CONFIGS if "L = 200" in name]
"""Left out where no model is asked for by name: exporting and loading them alone takes minutes."""
SHARES = {8: 0.10, 4: 0.20, 2: 0.70}
"""Widths of the channels: 3.0 bits on average."""
CHECKED = 8
"""Histories, of all lengths, on which a contender is compared with the reference before it is timed."""

# bf16 keeps 8 bits: a unit roundoff of 2^-9 for weights and for activations, sqrt(2) x 2^-9 / sqrt(3) rms a product, with the same
# 16 sums in series as the float32 tolerance and the same amplification by norms of up to 10, of which 3 is typical: 2.5 %.
_BF16_RMS = 3 * 4 * 2**0.5 * 2**-9 / 3**0.5
BF16_TOLERANCE = Tolerance(
    relative_rms_error=round(_BF16_RMS, 4),
    max_relative_error=round(8 * _BF16_RMS, 3),
    kendall_tau=0.98,
    top10_overlap=0.95,
    ndcg_difference=0.02,
    derivation="bfloat16 weights and activations: sqrt(2) x 2^-9 / sqrt(3) a product, 16 sums in series, norms amplify by 3",
)
TOLERANCES = {"fp32": FP32_TOLERANCE, "bf16": BF16_TOLERANCE, "int8": INT8_ACTIVATION_TOLERANCE}


@dataclass(frozen=True)
class ModelCase:
    """One backbone and one number of candidates.

    Attributes:
        histories: int32 ``[CHECKED, length]``, left-padded; the first is full, the second half full.
        references: scores of the PyTorch model with exactly the weights of each precision.
    """

    name: str
    backbone: Backbone
    master: MasterWeights
    widths: np.ndarray
    histories: np.ndarray
    candidates: np.ndarray
    references: dict[Precision, np.ndarray] = field(default_factory=dict)

    @property
    def strategy(self) -> bytes:
        """The strategy on the wire."""
        return encode(Strategy(self.widths, self.master.fingerprint))

    def inputs(self, rows: range = range(CHECKED)) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs (history, candidates)."""
        return [(self.histories[row], self.candidates[row]) for row in rows]

    def check(self, contender: Contender, precision: Precision) -> None:
        """Compare with the reference; raises ``CheckFailed``, naming contender and difference."""
        count = len(self.histories)
        scores = contender.answers(self.inputs(range(count))).reshape(count, -1)
        compare(scores, self.references[precision], TOLERANCES[contender.activations].for_few(count)).require(contender.name)

    def half(self) -> "ModelCase | None":
        """The same model for histories of at most half the length, with those of the inputs that are as short; what it must answer is what
        the whole one does. None: its length decides what it computes (Caser's layers have as many weights)."""
        config = self.backbone.config
        if not isinstance(config, SASRecConfig):
            return None
        length = config.max_length // 2
        backbone = build(replace(config, max_length=length)).eval()
        state = self.backbone.state_dict()
        state["position_embedding.weight"] = state["position_embedding.weight"][-length:]
        backbone.load_state_dict(state)
        rows = np.flatnonzero((self.histories > 0).sum(axis=1) <= length)
        return replace(
            self,
            backbone=backbone,
            master=make_master(backbone),
            histories=np.ascontiguousarray(self.histories[rows, -length:]),
            candidates=self.candidates[rows],
            references={precision: scores[rows] for precision, scores in self.references.items()},
        )


def model_case(name: str, candidates: int, seed: int = 0) -> ModelCase:
    """The case of ``CONFIGS[name]`` with random weights."""
    return model_case_of(name, CONFIGS[name], candidates, seed)


def model_case_of(name: str, config: BackboneConfig, candidates: int, seed: int = 0) -> ModelCase:
    """A case of any configuration of :data:`ITEMS` items."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = build(config).eval()
    master = make_master(backbone)
    widths = _widths(master.channel_table.channels, rng)
    length = config.max_length
    histories = rng.integers(1, ITEMS + 1, (CHECKED, length)).astype(np.int32)
    for row, filled in enumerate((length, length // 2, length, 1, 7, length // 3, length - 1, 2 * length // 3)):
        histories[row, : length - filled] = 0
    asked = np.stack([rng.choice(ITEMS, candidates, replace=False) + 1 for _ in range(CHECKED)]).astype(np.int32)
    case = ModelCase(name, backbone, master, widths, histories, asked)
    for precision, model in (
        (Precision.FP32, backbone),
        (Precision.INT8, from_master(master, np.full(len(widths), 8, np.uint8))),
        (Precision.STRATEGY, from_master(master, widths)),
    ):
        eager = EagerRunner(model, candidates=candidates)
        case.references[precision] = np.stack([eager.scores(*pair) for pair in case.inputs()])
    return case


def _widths(channels: int, rng: np.random.Generator) -> np.ndarray:
    widths = np.repeat([8, 4, 2], [round(share * channels) for share in (SHARES[8], SHARES[4])] + [0])
    return rng.permutation(np.concatenate([widths, np.full(channels - len(widths), 2)])).astype(np.uint8)
