"""One layer ``y = x W^T + b``: its codes, its reference, what a contender may be off by, and how contenders are tried."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from chordkit.errors import CheckFailed, ChordkitError
from chordkit.export.targets.runner import first_line
from contest.contender import Bound, Contender, Missing

SHAPES = ((50, 64, 64), (50, 256, 256), (1, 1024, 1024), (1, 4096, 4096))
"""Rows, inputs, outputs."""
BITS = ("int8", "3.0 bits")
_SHARES = {8: 0.10, 4: 0.20, 2: 0.70}
_RANGES = {8: (-127, 127), 4: (-7, 7), 2: (-2, 1)}
_CHECKED = 3


@dataclass(frozen=True)
class LinearCase:
    """A layer.

    Attributes:
        widths: uint8 ``[out]``; codes: int8 ``[out, in]`` on the grid of each channel's width; scales: float32 ``[out]``.
        bias: float32 ``[out]``.
        inputs: float32 ``[3, rows, in]``, Gaussian; the last one is timed.
    """

    rows: int
    widths: np.ndarray
    codes: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    inputs: np.ndarray

    @property
    def in_features(self) -> int:
        """Inputs."""
        return self.codes.shape[1]

    @property
    def out_features(self) -> int:
        """Channels."""
        return self.codes.shape[0]

    @property
    def weights(self) -> np.ndarray:
        """Dequantised: float32 ``[out, in]``."""
        return self.codes.astype(np.float32) * self.scales[:, None]

    @property
    def mixed(self) -> bool:
        """Whether channels have different widths."""
        return len(np.unique(self.widths)) > 1

    def groups(self, stored: Callable[[np.ndarray], np.ndarray]) -> tuple[list[tuple[int, np.ndarray]], np.ndarray]:
        """Channels by the bits that they are stored in, widest first, and the index that brings the concatenated groups back in order."""
        bits = stored(self.widths)
        groups = [(int(width), np.flatnonzero(bits == width)) for width in sorted(set(bits.tolist()), reverse=True)]
        return groups, np.argsort(np.concatenate([channels for _, channels in groups])).astype(np.int32)

    def check(self, contender: Contender) -> None:
        """Compare with float64 products.

        Raises:
            CheckFailed: the error is larger than :func:`tolerance`.
        """
        answers = contender.answers([(x,) for x in self.inputs]).astype(np.float64).reshape(_CHECKED, self.rows, -1)
        expected = self.inputs.astype(np.float64) @ self.weights.astype(np.float64).T
        error = float(np.sqrt(np.mean((answers - self.bias - expected) ** 2) / np.mean(expected**2)))
        allowed = tolerance(self, contender.activations)
        if not error <= allowed:
            raise CheckFailed(f"wrong answer: off by {error:.2e} rms, {allowed:.1e} is allowed")


def linear_case(rows: int, inputs: int, outputs: int, bits: str, seed: int = 0) -> LinearCase:
    """A layer with random codes; at int8 each channel reaches +-127, so that runtimes that choose scales themselves find the same."""
    rng = np.random.default_rng(seed)
    widths = np.full(outputs, 8, np.uint8)
    if bits != "int8":
        narrow = round(_SHARES[2] * outputs)
        middle = round(_SHARES[4] * outputs)
        widths = rng.permutation(np.repeat([2, 4, 8], [narrow, middle, outputs - narrow - middle])).astype(np.uint8)
    codes = np.empty((outputs, inputs), np.int8)
    for width, (low, high) in _RANGES.items():
        chosen = widths == width
        codes[chosen] = np.clip(np.rint(rng.standard_normal((int(chosen.sum()), inputs)) * max(high / 3, 1)), low, high)
        codes[chosen, rng.integers(0, inputs, int(chosen.sum()))] = high
    spread = np.sqrt((codes.astype(np.float32) ** 2).mean(1) * inputs)
    scales = (rng.uniform(0.5, 1.5, outputs) / spread).astype(np.float32)
    inputs_ = rng.standard_normal((_CHECKED, rows, inputs)).astype(np.float32)
    return LinearCase(rows, widths, codes, scales, rng.standard_normal(outputs).astype(np.float32), inputs_)


def tolerance(case: LinearCase, activations: str) -> float:
    """Root mean square error over root mean square result, the bias aside, that the arithmetic explains; 1.5 times of it.

    Sums of K float32 products in another order differ by at most 4 sqrt(K) unit roundoffs (Higham & Mary 2019), the bias is a further
    rounding. bfloat16 rounds weights, activations and results with a relative error of 2^-9 / sqrt(3) rms each. 8-bit
    activations have a step of 2 max|x| / 254 and an error of step / sqrt(12), and what is relative to x is relative to x W.
    """
    exact = 4 * np.sqrt(case.in_features) * 2.0**-24
    step = 2 * np.abs(case.inputs).max() / 254
    noise = {"fp32": 0.0, "bf16": 2.0**-9, "int8": step / np.sqrt(12) / np.sqrt((case.inputs**2).mean())}
    rounding = {"fp32": 0.0, "int8": 2.0**-24, "bf16": 2.0**-9 * np.sqrt(2)}  # results with bias, which doubles their square
    return float(1.5 * np.sqrt(noise[activations] ** 2 + rounding[activations] ** 2) + exact)


def own_widths(widths: np.ndarray) -> np.ndarray:
    """Channels stored at their own widths."""
    return widths


def four_or_more(widths: np.ndarray) -> np.ndarray:
    """2-bit channels stored in 4 bits."""
    return np.maximum(widths, 4)


def all_eight(widths: np.ndarray) -> np.ndarray:
    """Every channel stored in 8 bits."""
    return np.full_like(widths, 8)


Attempt = tuple[str, str, Callable[[], Bound]]
"""Label, activations, and what builds it."""


def attempts(case: LinearCase, runtime: str, forms: Iterable[Attempt], missing: dict[str, str]) -> list[Contender]:
    """Build and check each form; what the runtime refuses or gets wrong goes into ``missing`` with the reason."""
    contenders = []
    for label, activations, build in forms:
        name = f"{runtime} {label}"
        try:
            contender = Contender(name, runtime, build(), activations)
            case.check(contender)
        except (Missing, ImportError, ChordkitError, RuntimeError, NotImplementedError, AttributeError, ValueError) as error:
            if runtime == "chordkit":
                raise
            missing[name] = first_line(error)[:160]
            continue
        contenders.append(contender)
    return contenders
