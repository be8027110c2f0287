"""Faulty files: made by the target from faulty constants, or written into the constants of the right file, or plainly damaged."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np
from mutations_source import Constants, Layer, constants_of, faulty_master, faulty_program

from chordkit.export import program as programs
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.program import regroup
from chordkit.export.targets import find_target
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, to_wire

WRITTEN = ("executorch", "executorch-chord-linear")
"""Those that take seconds to make a file: the faulty constants are written into the right one, byte for byte where they belong."""
_BLOCK = 64


@dataclass(frozen=True)
class Faulty:
    """What the gate is given: the file (the master for a target without files), the strategy's bytes, and how it came about."""

    data: bytes
    strategy: bytes
    how: str


class Unplaceable(Exception):
    """The fault has no place in this target's file."""


class Planter:
    """Makes right and faulty files of one target.

    Args:
        spec: target and activations.
        master: the right master weights.
        widths: of the right strategy.
    """

    def __init__(self, spec: ArtifactSpec, master: MasterWeights, widths: np.ndarray) -> None:
        self.spec, self.master, self.widths = spec, master, widths
        self.target = find_target(spec.target)
        self._programs: dict[Any, Any] = {}
        self._export = programs.export_program

    @property
    def has_master(self) -> bool:
        """Whether the target runs from the master, and derives codes from it itself."""
        return self.target.capability.suffix is None or self.target.capability.master

    @cached_property
    def strategy(self) -> bytes:
        """The right one, in its wire form."""
        return self._wire(self.master, self.widths)

    @cached_property
    def right(self) -> bytes:
        """The right file."""
        return self.made(self.master, self.widths)

    @cached_property
    def constants(self) -> Constants:
        """What the right file is made from, in the order in which the target has it."""
        return constants_of(*self._ordered(self.master, self.widths), derived=not self.has_master)

    def _ordered(self, master: MasterWeights, widths: np.ndarray) -> tuple[MasterWeights, np.ndarray]:
        if self.spec.target != "executorch":
            return master, widths
        from chordkit.export.targets.executorch.graph import storage_groups

        return regroup(master, widths, storage_groups)[:2]

    @staticmethod
    def _wire(master: MasterWeights, widths: np.ndarray) -> bytes:
        return to_wire(Strategy(np.asarray(widths, np.uint8), master.fingerprint))

    def made(self, master: MasterWeights, widths: np.ndarray, constants: Constants | None = None) -> bytes:
        """The target's own file, of faulty constants where they are given."""
        if self.spec.target == "native":
            return master.to_bytes()

        def export(source: tuple[MasterWeights, np.ndarray], candidates: int, **options: Any) -> Any:
            # One trace serves all: what differs from fault to fault is constants, and the configuration.
            key = (repr(sorted(source[0].config.items())), candidates)
            if key not in self._programs:
                self._programs[key] = self._export(source, candidates, **options)
            return faulty_program(self._programs[key], constants or constants_of(*source))

        with mock.patch.object(programs, "export_program", export):
            return self.target.lower(self.spec, (master, widths))

    def faulty(self, constants: Constants) -> Faulty:
        """The file with these constants.

        Raises:
            ChordkitError: what makes it refuses them.
            Unplaceable: they have no place in it.
        """
        if self.target.capability.master:
            raise Unplaceable("its numbers are the bundle's master")
        if self.has_master:
            other = faulty_master(self.master, constants)
            return Faulty(other.to_bytes(), self._wire(other, self.widths), "made")
        if constants.config != self.constants.config:
            other = replace(self.master, config=dict(constants.config))
            return Faulty(self.made(other, self.widths), self.strategy, "made")
        if self.spec.target in WRITTEN:
            pairs = [pair for pair in zip(self._stored(self.constants), self._stored(constants), strict=True) if pair[0] != pair[1]]
            return Faulty(_written(self.right, pairs), self.strategy, "written")
        return Faulty(self.made(self.master, self.widths, constants), self.strategy, "made")

    def stale(self, widths: np.ndarray) -> Faulty:
        """The file of another strategy in the place of the right one."""
        if self.spec.target == "native":
            return Faulty(self.right, self._wire(self.master, widths), "loaded")
        return Faulty(self.made(self.master, widths), self.strategy, "made")

    def misnamed(self, generator: np.random.Generator) -> tuple[str, Faulty, Strategy | None]:
        """The right file with another master's fingerprint: in the file, where it has one, or in the strategy that it comes with."""
        right, wrong = self.master.fingerprint, generator.bytes(8)
        other = Strategy(self.widths, wrong)
        if generator.random() < 0.5:
            return "of the strategy in the bundle", Faulty(self.right, self.strategy, "claimed"), other
        if self.spec.target == "native":
            return "of the strategy that is adopted", Faulty(self.right, to_wire(other), "claimed"), None
        for before, after in ((right.hex().encode(), wrong.hex().encode()), (self.strategy, to_wire(other))):
            if before in self.right:
                return "in the file", Faulty(_written(self.right, [(before, after)]), self.strategy, "written"), None
        return "of the strategy in the bundle", Faulty(self.right, self.strategy, "claimed"), other

    def _stored(self, constants: Constants) -> Iterator[bytes]:
        """The bytes of all constants, as the target stores them."""
        for name, layer in constants.layers.items():
            yield from self._stored_layer(layer, self.constants.layers[name])
        for codes, scales in constants.tables.values():
            yield codes.tobytes()
            yield scales.tobytes()
        for tensor in constants.tensors.values():
            yield tensor.tobytes()

    def _stored_layer(self, layer: Layer, right: Layer) -> Iterator[bytes]:
        if self.spec.target == "executorch":
            from chordkit.export.targets.executorch.graph import INT8, storage_groups

            groups = storage_groups(right.widths)
            for group in np.unique(groups):
                codes = layer.codes[groups == group]
                yield codes.tobytes() if group == INT8 else _nibbles(codes)
                yield layer.scales[groups == group].tobytes()
        else:
            from torch import from_numpy

            from chordkit.kernels.executorch.torch_ops import layer_digest

            yield layer.codes.tobytes()
            yield layer.scales.tobytes()
            parts = [from_numpy(np.array(part)) for part in (layer.codes, layer.scales, layer.widths)]
            yield layer_digest(*parts, None if layer.bias is None else from_numpy(np.array(layer.bias))).to_bytes(8, "little", signed=True)
        if layer.bias is not None:
            yield layer.bias.tobytes()


def _nibbles(codes: np.ndarray) -> bytes:
    """XNNPACK's 4-bit weights: codes plus 8, lowest bits first."""
    unsigned = (codes.astype(np.int16) + 8).astype(np.uint8)
    return (unsigned[:, 0::2] | unsigned[:, 1::2] << 4).astype(np.uint8).tobytes()


def _written(data: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes:
    """``data`` with each first of a pair replaced by the second, wherever it stands."""
    places = []
    for before, after in pairs:
        if len(before) != len(after) or before not in data:
            raise Unplaceable
        places.append((data.index(before), after))
    result = bytearray(data)
    for place, after in places:
        result[place : place + len(after)] = after
    return bytes(result)


# --- plain damage -----------------------------------------------------------------------------------------------------


def _flipped(data: bytes, generator: np.random.Generator) -> tuple[bytes, str]:
    place, bit = int(generator.integers(len(data))), int(generator.integers(8))
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :], f"bit {bit} of byte {place}"


def _zeroed(data: bytes, generator: np.random.Generator) -> tuple[bytes, str]:
    place = int(generator.integers(len(data) - _BLOCK))
    return data[:place] + bytes(_BLOCK) + data[place + _BLOCK :], f"{_BLOCK} bytes from {place}"


def _cut(data: bytes, generator: np.random.Generator) -> tuple[bytes, str]:
    missing = int(generator.choice([1, 16, 1000, len(data) // 2]))
    return data[:-missing], f"{missing} bytes"


def _moved(data: bytes, generator: np.random.Generator) -> tuple[bytes, str]:
    place, size = int(generator.integers(len(data) - 4 * _BLOCK)), 4 * _BLOCK
    return data[:place] + data[place + size - 1 : place + size] + data[place : place + size - 1] + data[place + size :], f"from {place}"


def _exchanged(data: bytes, generator: np.random.Generator) -> tuple[bytes, str]:
    count = len(data) // _BLOCK
    one, other = sorted(int(each) * _BLOCK for each in generator.choice(count, 2, replace=False))
    first, second = data[one : one + _BLOCK], data[other : other + _BLOCK]
    return data[:one] + second + data[one + _BLOCK : other] + first + data[other + _BLOCK :], f"{one} and {other}"


DAMAGE = {
    "flipped bit": _flipped,
    "zeroed block": _zeroed,
    "file cut short": _cut,
    "bytes moved by one": _moved,
    "two blocks exchanged": _exchanged,
}
"""What happens to a file on its way into a bundle; in a bundle and after it SHA-256 sees it."""
