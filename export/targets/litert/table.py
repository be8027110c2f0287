"""The dispatch table of the LiteRT lowering: which function lowers which ATen operator, and how a node reaches it.

The functions live in :mod:`chordkit.export.targets.litert.ops` and :mod:`chordkit.export.targets.litert.layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from chordkit.errors import CapabilityError
from chordkit.export.program import refusal
from chordkit.export.targets.litert.flatbuffer import Quantization, TensorSpec
from chordkit.export.targets.litert.graph import Builder, View, pack, view

# What a torch node became: a View, a PaddingTest, or (folded) a torch constant.
Value = Any
# Elements from which a two-valued constant is worth an operator that runs once.
_LARGE_MASK = 256


@dataclass
class Lowering:
    """State of one lowering: the builder, the values of torch nodes, and names of constants by torch node."""

    builder: Builder
    values: dict[FxNode, Value] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def view_of(self, value: Value) -> View:
        """``value`` as a view; a torch constant becomes a constant tensor of the file."""
        if isinstance(value, View):
            return value
        array = torch.as_tensor(value).detach().numpy()
        if array.dtype.kind == "b":
            return view(self.builder.constant(array))
        if array.dtype.kind != "f":
            return view(self.builder.constant(array.astype(np.int32)))
        array = array.astype(np.float32)
        if array.ndim == 2 and array.size > _LARGE_MASK and (factor := two_valued(array)) is not None:
            # Codes 0 and -1, or 1, times a scale are the same numbers in few of the bytes; widened once, at load.
            codes, width = np.sign(array).astype(np.int8), self.builder.mask_bits
            table = TensorSpec(array.shape, f"INT{width}", pack(codes, width), Quantization(factor))
            return view(self.builder.emit("DEQUANTIZE", [table], table.shape, ("DequantizeOptions", {})))
        return view(self.builder.constant(array))

    def name_of(self, node: FxNode) -> str:
        """Module path of the parameter that ``node`` reads, without its last part; empty for a computed value."""
        return self.names.get(node.name, "").rpartition(".")[0]


Handler = Callable[[Lowering, FxNode, list[Any]], Value]
TABLE: dict[Any, Handler] = {}
# Targets whose result may have any type (they move data or compare ids), and those never folded into a float constant.
ANY_TYPE: set[Any] = set()
KEEP: set[Any] = set()


def lowers(*targets: Any, any_type: bool = False, keep: bool = False) -> Callable[[Handler], Handler]:
    """Register a handler for ATen targets.

    Args:
        targets: operator overloads.
        any_type: the handler also serves values that are not float32.
        keep: call the handler even when all arguments are constants, so that quantised rows stay codes in the file.
    """

    def register(handler: Handler) -> Handler:
        TABLE.update(dict.fromkeys(targets, handler))
        ANY_TYPE.update(targets if any_type else ())
        KEEP.update(targets if keep else ())
        return handler

    return register


def two_valued(array: np.ndarray) -> np.ndarray | None:
    """The magnitude, float32 ``[1]``, of the one finite number that ``array`` holds beside zeros; None for any other array."""
    numbers = array[array != 0]
    same = numbers.size and np.isfinite(numbers[0]) and (numbers == numbers[0]).all()
    return np.abs(numbers[:1]) if same else None


@dataclass(frozen=True)
class PaddingTest:
    """``ids == 0``, kept until it is known what is selected by it."""

    ids: View


def lower_node(lowering: Lowering, node: FxNode) -> Value:
    """Lower one ``call_function`` node.

    Raises:
        CapabilityError: the operator, or its use here, has no LiteRT form.
    """
    arguments = [_resolve(lowering, argument) for argument in node.args]
    depends = any(isinstance(value, View | PaddingTest) for value in _flat(arguments))
    if not depends and node.target not in KEEP:
        # Constant folding: whatever depends on no input is computed by torch here.
        kwargs = {name: _resolve(lowering, value) for name, value in node.kwargs.items()}
        return node.target(*_resolve(lowering, node.args), **kwargs)  # type: ignore[operator]
    handler = TABLE.get(node.target)
    if handler is None:
        raise refuse(node)
    if node.meta["val"].dtype != torch.float32 and node.target not in ANY_TYPE:
        raise refuse(node, f"gives {node.meta['val'].dtype}; only float32 is computed")
    return handler(lowering, node, arguments)


def _resolve(lowering: Lowering, argument: Any) -> Any:
    if isinstance(argument, FxNode):
        return lowering.values[argument]
    if isinstance(argument, list | tuple):
        return [_resolve(lowering, item) for item in argument]
    return argument


def _flat(arguments: list[Any]) -> list[Any]:
    return [item for argument in arguments for item in (argument if isinstance(argument, list) else [argument])]


def refuse(node: FxNode, why: str = "has no lowering") -> CapabilityError:
    """The error for an operator, or a use of one, that has no LiteRT form."""
    return refusal(node, why, "litert")
