"""XNNPACK's part of a ``.pte`` in fewer bytes, and otherwise the same. Imported only when ExecuTorch is.

Its serialiser keeps the scales of a layer as a piece of data of their own, found by a name of 70 characters that stands in the file twice,
padded to 128 bytes; here they stand in the graph, which its reader takes as well. Weights keep names, which are what a cache of packed
weights goes by, of 96 bits of their SHA-256 instead of all.
"""

import base64
import contextlib
import importlib.resources
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from executorch.backends.xnnpack import xnnpack_preprocess
from executorch.backends.xnnpack.serialization import xnnpack_graph_serialize
from executorch.exir import _serialize
from executorch.exir._serialize import _program
from executorch.exir._serialize._flatbuffer import _FlatbufferResult
from executorch.exir._serialize._named_data_store import NamedDataStore

from chordkit.export.targets.executorch.flatbuffer import Schema, encode

SEGMENT_ALIGNMENT = 16
"""Of the pieces of a file: what XNNPACK and the schema ask of data; ExecuTorch's own default, 128, is for loaders that map pieces alone."""
_SCALES = "scale_"
_KEY_BYTES = 12


@contextlib.contextmanager
def compact_graphs() -> Iterator[None]:
    """Let XNNPACK's serialiser write smaller graphs."""
    stores: list[_Store] = []

    def store() -> _Store:
        stores.append(_Store())
        return stores[-1]

    def convert(graph: Any) -> bytes:
        text = xnnpack_graph_serialize._get_schema_bytes().decode()
        return encode(Schema.parse(text), _with_scales(graph, stores[-1].scales))

    with (
        mock.patch.object(xnnpack_preprocess, "NamedDataStore", store),
        mock.patch.object(xnnpack_graph_serialize, "convert_to_flatbuffer", convert),
    ):
        yield


@contextlib.contextmanager
def compact_program() -> Iterator[None]:
    """Let ExecuTorch's serialiser write equal tables of a program once."""

    def convert(program: Any, **_: Any) -> Any:
        # Buffers are segments of their own, so that no table holds data whose alignment could be asked for.
        text = "".join((importlib.resources.files(_serialize) / name).read_text() for name in ("scalar_type.fbs", "program.fbs"))
        return _FlatbufferResult(data=encode(Schema.parse(text), program), max_alignment=SEGMENT_ALIGNMENT)

    with mock.patch.object(_program, "_program_to_flatbuffer", convert):
        yield


class _Store(NamedDataStore):
    """Named data with short names, without scales, which are kept for the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.scales: dict[str, bytes] = {}

    def add_named_data(self, key: str, data: Any, *more: Any, **options: Any) -> None:
        if key.startswith(_SCALES):
            self.scales[key] = bytes(data)
        else:
            super().add_named_data(_short(key), data, *more, **options)


def _short(key: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(key)[:_KEY_BYTES]).decode()


def _with_scales(graph: Any, scales: dict[str, bytes]) -> Any:
    """The graph with the scales in it, and its constants counted anew."""
    numbers: dict[int, int] = {}
    kept: list[Any] = []
    for index, constant in enumerate(graph.constant_data):
        if constant.named_key not in scales:
            numbers[index] = len(kept)
            kept.append(replace(constant, named_key=_short(constant.named_key)) if constant.named_key else constant)

    def moved(value: Any) -> Any:
        return replace(value, constant_buffer_idx=numbers[value.constant_buffer_idx])

    values = []
    for value in graph.xvalues:
        inner = value.xvalue_union
        if hasattr(inner, "quant_params"):
            quantization = inner.quant_params
            if getattr(quantization, "scale_buffer_idx", 0) and not hasattr(quantization, "group_size"):
                data = scales[graph.constant_data[quantization.scale_buffer_idx].named_key]
                own = np.frombuffer(data, "<f4", quantization.num_scales).tolist()
                quantization = replace(quantization, scale=own, scale_buffer_idx=0)
            inner = replace(inner, tensor_value=moved(inner.tensor_value), quant_params=quantization)
        else:
            inner = moved(inner)
        values.append(replace(value, xvalue_union=inner))
    return replace(graph, xvalues=values, constant_data=kept)
