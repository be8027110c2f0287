"""The whole re-ranker: one backbone, one strategy at 3.0 bits, and every file that a peer can be given for it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from chordkit.backbones import Backbone, CaserConfig, SASRecConfig, build, from_master, make_master
from chordkit.errors import MissingRuntimeError
from chordkit.export.artifact import Activations, ArtifactSpec, Precision
from chordkit.export.parity import FP32_TOLERANCE, INT8_ACTIVATION_TOLERANCE, Tolerance, compare
from chordkit.export.targets import EagerRunner, lower
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, encode
from contest.bind_executorch import bind_executorch
from contest.bind_litert import bind_litert
from contest.bind_onnx import bind_onnx, quantized_dynamically
from contest.bind_openvino import FORMS, bind_openvino
from contest.contender import Bound, Contender, Missing

ITEMS = 3707
CONFIGS = {
    "sasrec": SASRecConfig(items=ITEMS, heads=1, norm_first=True),
    "sasrec, 2 heads, norms last": SASRecConfig(items=ITEMS, heads=2, norm_first=False),
    "sasrec, d = 128": SASRecConfig(items=ITEMS, heads=1, norm_first=True, dim=128),
    "sasrec, d = 256": SASRecConfig(items=ITEMS, heads=1, norm_first=True, dim=256),
    "sasrec, d = 128, ffn 512, L = 200, 4 blocks": SASRecConfig(
        items=ITEMS, heads=1, norm_first=True, dim=128, ffn_dim=512, max_length=200, blocks=4
    ),
    "sasrec, d = 256, ffn 1024, L = 200, 4 blocks": SASRecConfig(
        items=ITEMS, heads=1, norm_first=True, dim=256, ffn_dim=1024, max_length=200, blocks=4
    ),
    "caser": CaserConfig(items=ITEMS),
}
SHARES = {8: 0.10, 4: 0.20, 2: 0.70}
"""Widths of the channels: 3.0 bits on average."""
CHECKED = 8
"""Histories, of all lengths, on which a contender is compared with the reference before it is timed."""
_NAMES = ("history", "candidates")

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
        scores = contender.answers(self.inputs()).reshape(CHECKED, -1)
        compare(scores, self.references[precision], TOLERANCES[contender.activations].for_few(CHECKED)).require(contender.name)


def model_case(name: str, candidates: int, seed: int = 0) -> ModelCase:
    """The case of ``CONFIGS[name]`` with random weights."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = build(CONFIGS[name]).eval()
    master = make_master(backbone)
    widths = _widths(master.channel_table.channels, rng)
    length = CONFIGS[name].max_length
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


@dataclass(frozen=True)
class _File:
    """One file of a peer: what to lower, and the bindings to try with it."""

    label: str
    target: str
    precision: Precision
    activations: Activations
    bindings: tuple[tuple[str, str, str, Callable[[bytes, ModelCase], Bound]], ...]
    """Runtime, further label, what it computes with ("" = as the file says), binding."""


def _executorch(data: bytes, case: ModelCase) -> Bound:
    shapes = [(1, case.histories.shape[1]), (1, case.candidates.shape[1])]
    return bind_executorch(data, [(shape, np.int32) for shape in shapes])


def _onnx(data: bytes, case: ModelCase) -> Bound:
    # As chordkit's own runner does: otherwise dequantised weights are not folded at load but computed in every call.
    return bind_onnx(data, _NAMES, {"session.disable_quant_qdq": "1"})


def _onnx_dynamic(data: bytes, case: ModelCase) -> Bound:
    # Its int8 weights are its own: held against the float model, as far off as 8-bit activations may be.
    return bind_onnx(quantized_dynamically(data), _NAMES)


def _openvino(form: str) -> Callable[[bytes, ModelCase], Bound]:
    return lambda data, case: bind_openvino(data, _NAMES, form)


def _files() -> Iterator[_File]:
    for precision in Precision:
        for activations in ("fp32", "int8") if precision is not Precision.FP32 else ("fp32",):
            litert = ("litert", "", "", lambda data, case: bind_litert(data, _NAMES))
            yield _File(f"{precision}, {activations} activations", "litert", precision, activations, (litert,))
        # With compressed weights OpenVINO quantises activations in groups as it goes, unless told not to.
        quantised = "" if precision is Precision.FP32 else "int8"
        openvinos = tuple(("openvino", f" ({form})", "bf16" if form == "bf16" else quantised, _openvino(form)) for form in FORMS)
        onnx = [("onnxruntime", "", "", _onnx)]
        if precision is Precision.FP32:
            onnx.append(("onnxruntime", " as its quantize_dynamic makes int8 of it", "int8", _onnx_dynamic))
        yield _File(str(precision), "onnx", precision, "fp32", (*onnx, *openvinos))
        yield _File(str(precision), "executorch", precision, "fp32", (("executorch", "", "", _executorch),))


def model_peers(case: ModelCase, runtimes: Collection[str], missing: dict[str, str]) -> list[Contender]:
    """Each of ``runtimes`` with every file it can run, checked; what cannot be run goes into ``missing`` with the reason."""
    contenders = []
    for file in _files():
        bindings = [binding for binding in file.bindings if binding[0] in runtimes]
        if not bindings:
            continue
        spec = ArtifactSpec(file.target, file.precision, case.candidates.shape[1], activations=file.activations)
        widths = np.full(len(case.widths), 8, np.uint8) if file.precision is Precision.INT8 else case.widths
        try:
            data = lower(spec, case.backbone if file.precision is Precision.FP32 else (case.master, widths))
        except MissingRuntimeError as error:
            missing.update({f"{runtime} {file.label}": str(error) for runtime, *_ in bindings})
            continue
        for runtime, form, computes, bind in bindings:
            name = f"{runtime} {file.label}{form}"
            try:
                contender = Contender(name, runtime, bind(data, case), computes or file.activations)
            except (Missing, ImportError) as error:
                missing[name] = str(error)
                continue
            case.check(contender, file.precision)
            contenders.append(contender)
    return contenders
