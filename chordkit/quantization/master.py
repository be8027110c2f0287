"""The master weights: the frozen backbone as it is shipped, int8 per output channel, with scales for every width."""

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from chordkit.errors import MasterError, StrategyError
from chordkit.files import read_bytes, write_bytes
from chordkit.quantization import container, rules
from chordkit.quantization.channels import ChannelTable
from chordkit.quantization.container import Origin
from chordkit.quantization.grid import QuantizedRows, dequantize_rows
from chordkit.quantization.packing import pack_codes, unpack_codes
from chordkit.quantization.tables import QuantizedTable, dequantize_table, quantize_table

ConfigValue = int | float | str | tuple[int, ...]

_ITEM_BIAS = "item_bias"


@dataclass(frozen=True, eq=False)
class MasterLayer:
    """A layer of the strategy: quantised rows, and the bias as float32 ``[out]`` or None."""

    rows: QuantizedRows
    bias: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class MasterWeights:
    """Everything of a backbone that is installed once on the device.

    Attributes:
        config: flat backbone configuration; ``architecture`` names the class.
        layers: the strategy's layers in channel order, keyed by their torch module path.
        embeddings: row-quantised tables, keyed by their torch module path.
        tensors: all else (LayerNorm, free biases) as float32, keyed by their state-dict name.
        origin: the master that this one was before its catalogue grew; None = it has not. See :meth:`require_origin`.

    Raises:
        MasterError: a part that no reader would take: NaN, infinity, a code off the grid, a scale of 0; the message names its entry.
    """

    config: dict[str, ConfigValue]
    layers: dict[str, MasterLayer]
    embeddings: dict[str, QuantizedTable] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    origin: Origin | None = None

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        if not isinstance(self.config.get("architecture"), str):
            raise MasterError("master: entry 'config/architecture' is missing")
        if "item_embedding" not in self.embeddings:
            raise MasterError("master: entry 'embeddings/item_embedding' is missing: a backbone's item table has this name")
        for key, value in self.config.items():
            _config_to_entry(key, value)
        for name, layer in self.layers.items():
            rules.check_layer(name, layer.rows, layer.bias)
        for name, table in self.embeddings.items():
            rules.check_table(name, table.codes, table.scales, table.bits)
        for key, tensor in self.tensors.items():
            rules.check_tensor(key, tensor)
        if self.origin is not None and not 1 <= self.origin.items < self.items:
            raise MasterError(f"master: one of {self.items} items cannot have grown from {self.origin.items}")

    @cached_property
    def channel_table(self) -> ChannelTable:
        """Index of every channel."""
        return ChannelTable.from_sizes((name, *layer.rows.codes.shape) for name, layer in self.layers.items())

    @property
    def items(self) -> int:
        """Number of items, without the padding's row 0: ids are 1..items."""
        return len(self.embeddings["item_embedding"].codes) - 1

    @property
    def dim(self) -> int:
        """Numbers in an item's embedding, in the hidden state that it is scored with, and in a user vector."""
        return int(self.embeddings["item_embedding"].codes.shape[1])

    @property
    def fingerprint(self) -> bytes:
        """What strategies and user vectors for this master carry: the :attr:`digest`, and where the catalogue has grown that of before."""
        return self.digest if self.origin is None else self.origin.fingerprint

    @cached_property
    def digest(self) -> bytes:
        """First 8 bytes of SHA-256 over the file: of this catalogue alone."""
        return hashlib.sha256(self.to_bytes()).digest()[:8]

    def grown(self, rows: np.ndarray, biases: np.ndarray | None = None) -> "MasterWeights":
        """The same master with more items: all else, and so every strategy and user vector, stays as it is.

        Args:
            rows: float ``[new items, dim]``, their embeddings in the order of their ids; rounded as the item table is.
            biases: float32 ``[new items]``, where the master has an ``item_bias``.

        Raises:
            MasterError: no row, rows of another width, numbers that no master holds; biases where there are none, or none where there are.
        """
        own, bias = self.embeddings["item_embedding"], self.tensors.get(_ITEM_BIAS)
        if self.config.get("items") != self.items:
            raise MasterError(f"master: 'config/items' is {self.config.get('items')}, and the item table has {self.items}; make it again")
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != self.dim:
            raise MasterError(f"master: new items of shape {list(rows.shape)} do not fit its item table: give [new items, {self.dim}]")
        if (biases is None) != (bias is None) or (biases is not None and biases.shape != (len(rows),)):
            raise MasterError(f"master: give a bias for each of the {len(rows)} new items where it has an {_ITEM_BIAS}, and only there")
        new = quantize_table(rows, own.bits, name="item_embedding")
        table = QuantizedTable(np.concatenate([own.codes, new.codes]), np.concatenate([own.scales, new.scales]), own.bits)
        longer = None if bias is None or biases is None else np.concatenate([bias, biases.astype(np.float32)])
        return self._with_items(table, longer, self.origin or Origin(self.digest, self.items))

    def _with_items(self, table: QuantizedTable, bias: np.ndarray | None, origin: Origin | None) -> "MasterWeights":
        return replace(
            self,
            config=self.config | {"items": len(table.codes) - 1},
            embeddings=self.embeddings | {"item_embedding": table},
            tensors=self.tensors if bias is None else self.tensors | {_ITEM_BIAS: bias},
            origin=origin,
        )

    def require_origin(self) -> None:
        """Hold what a grown master says of its origin against what it is without the items that came since; others pass.

        Raises:
            MasterError: without them it is another master than the one whose strategies it would take.
        """
        if self.origin is None:
            return
        rows, own, bias = self.origin.items + 1, self.embeddings["item_embedding"], self.tensors.get(_ITEM_BIAS)
        table = QuantizedTable(own.codes[:rows], own.scales[:rows], own.bits)
        before = self._with_items(table, None if bias is None else bias[:rows], None)
        if before.digest != self.origin.fingerprint:
            raise MasterError(
                f"master: its first {self.origin.items} items and its layers are not those of the master "
                f"{self.origin.fingerprint.hex()} that it says it has grown from; let that one grow again"
            )

    def state_dict(self, widths: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The complete dequantised state dict: the reference semantics of contract 1.

        Args:
            widths: ``[channels]`` in {0, 2, 4, 8}; None = int8 everywhere.

        Raises:
            StrategyError: wrong length or an illegal width.
        """
        table = self.channel_table
        chosen = np.full(table.channels, 8, np.uint8) if widths is None else np.asarray(widths)
        if chosen.shape != (table.channels,):
            raise StrategyError(f"{chosen.size} widths do not fit a backbone of {table.channels} channels")
        state = {}
        for name, layer in self.layers.items():
            state[f"{name}.weight"] = dequantize_rows(layer.rows, chosen[table.layer_slice(name)])
            if layer.bias is not None:
                state[f"{name}.bias"] = layer.bias
        state.update({f"{name}.weight": dequantize_table(embedding) for name, embedding in self.embeddings.items()})
        state.update(self.tensors)
        return state

    def to_bytes(self) -> bytes:
        """The master file (docs/formats.md).

        Raises:
            MasterError: something the file cannot hold (a long name), or numbers that have become what no reader takes since they came in.
        """
        self._check()
        return container.pack(self._entries(), self.origin)

    def _entries(self) -> dict[str, container.Value]:
        entries: dict[str, container.Value] = {}
        for key, value in self.config.items():
            entries[f"config/{key}"] = _config_to_entry(key, value)
        for name, layer in self.layers.items():
            entries[f"layers/{name}/codes"] = layer.rows.codes
            entries[f"layers/{name}/scales"] = layer.rows.scales
            entries[f"layers/{name}/ratios"] = layer.rows.ratios
            if layer.bias is not None:
                entries[f"layers/{name}/bias"] = layer.bias
        for name, table in self.embeddings.items():
            packed = table.codes if table.bits == 8 else pack_codes(table.codes, table.bits)
            entries[f"embeddings/{name}/codes"] = packed
            entries[f"embeddings/{name}/scales"] = table.scales
            entries[f"embeddings/{name}/bits"] = np.array([table.bits, table.codes.shape[1]], np.int32)
        for key, tensor in self.tensors.items():
            entries[f"tensors/{key}"] = tensor
        return entries

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "MasterWeights":
        """Read a master file; arrays are read-only views of ``data``.

        Raises:
            MasterError: the file is damaged, or its entries do not make a master; the message names the entry.
        """
        entries, origin = container.unpack(data)
        config: dict[str, ConfigValue] = {}
        groups: dict[str, dict[str, dict[str, np.ndarray]]] = {"layers": {}, "embeddings": {}}
        tensors: dict[str, np.ndarray] = {}
        for entry, value in entries.items():
            kind, _, rest = entry.partition("/")
            if kind == "config" and rest:
                config[rest] = _config_from_entry(entry, value)
                continue
            if isinstance(value, str):
                raise MasterError(f"master: entry '{entry}' is a text, which only the configuration has")
            if kind == "tensors" and rest and value.dtype == np.float32:
                tensors[rest] = value
            elif kind in groups and rest.count("/") == 1:
                name, _, part = rest.partition("/")
                groups[kind].setdefault(name, {})[part] = value
            else:
                raise MasterError(f"master: entry '{entry}' has no place in a master")
        layers = {name: _layer(name, parts) for name, parts in groups["layers"].items()}
        embeddings = {name: _table(name, parts) for name, parts in groups["embeddings"].items()}
        master = cls(config, layers, embeddings, tensors, origin)
        # The container reads only what it would write, so that order is all that could still differ from to_bytes().
        if list(master._entries()) != list(entries):
            raise MasterError("master: the entries are not in their order; make the master again")
        return master

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the master file atomically."""
        write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "MasterWeights":
        """Read a master file.

        Raises:
            InputError: the file cannot be read.
            MasterError: it is not a whole master file, or has not grown from the one that it names.
        """
        data = read_bytes(path, "master weights")
        try:
            master = cls.from_bytes(data)
            master.require_origin()
            return master
        except MasterError as error:
            raise MasterError(f"{path}: {error}") from None


def _config_to_entry(key: str, value: ConfigValue) -> container.Value:
    if not key:
        raise MasterError("master: a configuration value has no name: give it one")
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, np.integer)):
        if not -(1 << 31) <= value < 1 << 31:
            raise MasterError(f"master: configuration '{key}' = {value} does not fit 32 bits")
        return np.array([int(value)], np.int32)
    if isinstance(value, (float, np.floating)):
        if not abs(value) <= np.finfo(np.float32).max:
            raise MasterError(f"master: configuration '{key}' = {value} is not a finite float32")
        return np.array([value], np.float32)
    if isinstance(value, tuple) and value and all(isinstance(item, (int, np.integer)) and -(1 << 31) <= item < 1 << 31 for item in value):
        return np.array([value], np.int32)  # two dimensions tell a tuple of one from a number
    raise MasterError(
        f"master: configuration '{key}' is a {type(value).__name__}; numbers, texts and tuples of one or more integers can be stored"
    )


def _config_from_entry(entry: str, value: container.Value) -> ConfigValue:
    if isinstance(value, str):
        return value
    if value.dtype == np.int32 and value.ndim == 2 and value.shape[0] == 1:
        return tuple(int(item) for item in value[0])
    if value.dtype == np.int32 and value.shape == (1,):
        return int(value[0])
    if value.dtype == np.float32 and value.shape == (1,) and np.isfinite(value[0]):
        # The shortest decimal that is this float32, so that 0.1 comes back as 0.1.
        return float(str(value[0]))
    raise MasterError(f"master: entry '{entry}' is not a number, a text or a list of integers")


def _parts(kind: str, name: str, parts: dict[str, np.ndarray], needed: set[str], optional: set[str]) -> None:
    missing, extra = needed - parts.keys(), parts.keys() - needed - optional
    if not name or missing or extra:
        detail = f"lacks {', '.join(sorted(missing))}" if missing else f"has the unknown part {', '.join(sorted(extra))}"
        raise MasterError(f"master: entry '{kind}/{name}' {detail}")


def _layer(name: str, parts: dict[str, np.ndarray]) -> MasterLayer:
    _parts("layers", name, parts, {"codes", "scales", "ratios"}, {"bias"})
    if parts["codes"].ndim != 2:
        raise MasterError(f"master: entry 'layers/{name}/codes' has not the shape [out, in]")
    try:
        rows = QuantizedRows(parts["codes"], parts["scales"], parts["ratios"])
    except MasterError as error:
        raise MasterError(f"master: entry 'layers/{name}': {error}") from None
    return MasterLayer(rows, parts.get("bias"))


def _table(name: str, parts: dict[str, np.ndarray]) -> QuantizedTable:
    _parts("embeddings", name, parts, {"codes", "scales", "bits"}, set())
    codes, bits = parts["codes"], parts["bits"]
    if bits.dtype != np.int32 or bits.shape != (2,) or int(bits[0]) not in (4, 8) or int(bits[1]) < 1:
        raise MasterError(f"master: entry 'embeddings/{name}/bits' is not [4 or 8, dim]")
    width, dim = int(bits[0]), int(bits[1])
    if width == 4:
        if codes.dtype != np.uint8 or codes.ndim != 2:
            raise MasterError(f"master: entry 'embeddings/{name}/codes' is not packed uint8 [rows, bytes]")
        try:
            codes = unpack_codes(codes, 4, dim)
        except MasterError as error:
            raise MasterError(f"master: entry 'embeddings/{name}/codes': {error}") from None
    if codes.ndim != 2 or codes.shape[1] != dim:
        raise MasterError(f"master: entry 'embeddings/{name}/codes' has not the shape [rows, {dim}]")
    return QuantizedTable(codes, parts["scales"], width)
