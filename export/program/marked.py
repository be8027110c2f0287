"""One graph for every target: the re-ranker as a ``torch.export`` program with its quantised layers marked.

Every lowering (ExecuTorch, LiteRT, ONNX) starts here. A float backbone is exported as it is. A master with a strategy
is exported with one *marker op* for each layer that is quantised, so that a lowering sees codes, scales and widths
instead of having to recognise a dequantise-then-matmul pattern (:mod:`chordkit.export.program.operators`).
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec

import numpy as np
import torch
from torch import Tensor, nn

from chordkit.backbones import Backbone, CatalogueScorer, PersonalCatalogueScorer, PersonalReranker, Reranker
from chordkit.backbones.master import from_master
from chordkit.errors import CapabilityError, InputError, StrategyError
from chordkit.export.program.canonical import canonical
from chordkit.export.program.operators import channel_linear, row_embedding
from chordkit.export.program.renewed import renewed
from chordkit.export.program.spelling import anything_spelled_out, is_spelled_out, with_products
from chordkit.quantization import MasterWeights, select_codes

Source = Backbone | tuple[MasterWeights, np.ndarray]
Shape = ParamSpec("Shape")


class MarkedLinear(nn.Module):
    """Stands in for a ``ChannelLinear`` at export time: the same call, one ``chord::channel_linear`` node.

    Args:
        codes: int8 ``[out, in]``, derived for ``widths``.
        scales: float32 ``[out]``.
        widths: uint8 ``[out]``, bits of each channel.
        bias: float32 ``[out]`` or None.
    """

    codes: Tensor
    scales: Tensor
    widths: Tensor
    bias: Tensor | None

    def __init__(self, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.register_buffer("widths", widths)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor, choice: None = None) -> Tensor:
        """Map ``x [..., in]`` to ``[..., out]``; a per-sample ``choice`` of widths has no meaning in an artifact."""
        return channel_linear(x, self.codes, self.scales, self.widths, self.bias)


class MarkedEmbedding(nn.Module):
    """Stands in for an ``nn.Embedding`` at export time: lookups become ``chord::row_embedding`` nodes.

    Args:
        codes: int8 ``[rows, dim]``.
        scales: float32 ``[rows]``.
    """

    codes: Tensor
    scales: Tensor
    rows: Tensor

    def __init__(self, codes: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = codes.shape
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.register_buffer("rows", torch.arange(codes.shape[0], dtype=torch.int32), persistent=False)

    @property
    def weight(self) -> Tensor:
        """The whole dequantised table ``[rows, dim]``, as the lookup of all its rows."""
        return row_embedding(self.rows, self.codes, self.scales)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ``ids [...]``; the result is float32 ``[..., dim]``."""
        return row_embedding(ids, self.codes, self.scales)


def _tensor(array: np.ndarray) -> Tensor:
    # A copy: master arrays may be read-only views of a mapped file, which torch cannot represent.
    return torch.from_numpy(np.array(array, order="C"))


def _checked_widths(master: MasterWeights, widths: np.ndarray) -> np.ndarray:
    table = master.channel_table
    widths = np.asarray(widths)
    if widths.shape != (table.channels,):
        raise StrategyError(
            f"widths: shape {list(widths.shape)} does not fit the master's {table.channels} channels; use a strategy made for this master"
        )
    if not np.isin(widths, (0, 2, 4, 8)).all():
        raise StrategyError("widths: a channel has a width other than 0, 2, 4 or 8 bits; use a strategy made by chordkit")
    return widths.astype(np.uint8)


def _layer_tensors(master: MasterWeights, widths: np.ndarray) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Name of each strategy layer with its codes, scales and widths."""
    for name, layer in master.layers.items():
        chosen = widths[master.channel_table.layer_slice(name)]
        codes, scales = select_codes(layer.rows, chosen)
        yield name, {"codes": _tensor(codes), "scales": _tensor(scales), "widths": _tensor(chosen)}


def marked_backbone(master: MasterWeights, widths: np.ndarray) -> Backbone:
    """Build the backbone of ``master`` with marker modules in place of quantised layers and tables.

    Args:
        master: the int8 master weights.
        widths: uint8 ``[channels]``, bits of each channel in {0, 2, 4, 8}, in the order of the channel table.

    Raises:
        StrategyError: ``widths`` does not fit the channel table or holds another value.
    """
    widths = _checked_widths(master, widths)
    backbone = with_products(from_master(master, widths))
    for name, tensors in _layer_tensors(master, widths):
        if is_spelled_out(name):
            continue
        bias = master.layers[name].bias
        backbone.set_submodule(name, MarkedLinear(**tensors, bias=None if bias is None else _tensor(bias)))
    for name, embedding in master.embeddings.items():
        backbone.set_submodule(name, MarkedEmbedding(_tensor(embedding.codes), _tensor(embedding.scales)))
    return backbone.eval()


class _Reordered(nn.Module):
    """The scorer of a model whose hidden state is in another order than its users' vectors.

    Args:
        backbone: the reordered model.
        order: int64 ``[dim]``: position ``j`` of its hidden state is number ``order[j]`` of a vector.
    """

    order: Tensor

    def __init__(self, backbone: Backbone, order: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("order", order)

    def forward(self, history: Tensor, user: Tensor, candidates: Tensor | None = None) -> Tensor:
        hidden = self.backbone.encode_personal(history, user.index_select(1, self.order))
        return self.backbone.score_all(hidden) if candidates is None else self.backbone.score(hidden, candidates)


_TRACED: ContextVar[dict[object, tuple[torch.export.ExportedProgram, MasterWeights]] | None] = ContextVar("traced", default=None)


@contextmanager
def traced_once() -> Iterator[None]:
    """Within it, a master is traced once for each shape of calls, and :func:`export_program` of other widths takes that trace."""
    token = _TRACED.set({})
    try:
        yield
    finally:
        _TRACED.reset(token)


def _keeping(export: Callable[Shape, torch.export.ExportedProgram]) -> Callable[Shape, torch.export.ExportedProgram]:
    @functools.wraps(export)
    def kept(*arguments: Shape.args, **options: Shape.kwargs) -> torch.export.ExportedProgram:
        traced, source = _TRACED.get(), arguments[0] if arguments else None
        if traced is None or anything_spelled_out() or options.get("user_order") is not None or not isinstance(source, tuple):
            return export(*arguments, **options)
        master, widths = source
        key = (id(master), arguments[1:], tuple(sorted(options.items())))
        if key not in traced:  # with the master, so that no other gets its identity
            traced[key] = export(*arguments, **options), master
        return with_widths(traced[key][0], master, widths)

    return kept


@_keeping
def export_program(
    source: Source,
    candidates: int | None = 100,
    *,
    user_vector: bool = False,
    user_order: np.ndarray | None = None,
    batch: int = 1,
) -> torch.export.ExportedProgram:
    """Export the re-ranker ``(history int32 [batch, L], candidates int32 [batch, C]) -> scores float32 [batch, C]``.

    Args:
        source: a trained backbone (float32 graph), or a master with its widths (marked graph, see the module).
        candidates: ``C``, fixed in the artifact; None exports the scorer of the whole catalogue instead,
            ``history int32 [batch, L] -> scores float32 [batch, items + 1]``, whose first column means nothing.
        user_vector: whether it takes a user vector: ``(history, user float32 [batch, dim], candidates) -> scores``.
        user_order: with a user vector: the order ``[dim]`` that the hidden state of ``source`` has been brought into
            (:func:`chordkit.export.program.regroup`), while vectors keep the backbone's own; None = they are the same.
        batch: histories per call, fixed in the artifact.

    Returns:
        A program with static shapes and no training-only branch, in its one spelling (:mod:`chordkit.export.program.canonical`).

    Raises:
        InputError: ``candidates`` or ``batch`` is not positive.
        CapabilityError: torch cannot trace the model, or an operator has no canonical form.
        StrategyError: the widths do not fit the master.
    """
    if candidates is not None and candidates < 1:
        raise InputError(f"candidates: {candidates} is not a number of candidates; use at least 1")
    if batch < 1:
        raise InputError(f"batch: {batch} is not a number of histories; use at least 1")
    backbone = marked_backbone(*source) if isinstance(source, tuple) else with_products(source)
    module, arguments = _scorer(backbone, candidates, user_vector, user_order, batch)
    try:
        with torch.no_grad():
            return canonical(torch.export.export(module.eval(), arguments, strict=False))
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CapabilityError(
            f"the backbone {backbone.config.architecture!r} is no graph of fixed shapes ({reason}): let no tensor decide anything in "
            "Python, nor the size of another, and stay in torch"
        ) from error


def _scorer(
    backbone: Backbone, candidates: int | None, user_vector: bool, user_order: np.ndarray | None, batch: int
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """What is exported, and inputs of its shapes."""
    history = torch.ones((batch, backbone.config.max_length), dtype=torch.int32)
    ids = () if candidates is None else (torch.ones((batch, candidates), dtype=torch.int32),)
    if not user_vector:
        return (Reranker(backbone) if ids else CatalogueScorer(backbone)), (history, *ids)
    module: nn.Module = PersonalReranker(backbone) if ids else PersonalCatalogueScorer(backbone)
    if user_order is not None and not np.array_equal(user_order, np.arange(backbone.config.dim)):
        module = _Reordered(backbone, torch.from_numpy(np.asarray(user_order, np.int64)))
    return module, (history, torch.zeros((batch, backbone.config.dim)), *ids)


def item_count(source: Source) -> int:
    """Number of items of the model's catalogue; ids are 1..items."""
    return source[0].items if isinstance(source, tuple) else source.config.items


def with_widths(exported: torch.export.ExportedProgram, master: MasterWeights, widths: np.ndarray) -> torch.export.ExportedProgram:
    """The same program for another strategy of the same master, without tracing again (0.5 s each for SASRec).

    Args:
        exported: a marked program from :func:`export_program`; it is left as it is.
        master: the master that it was exported from.
        widths: uint8 ``[channels]``, the other strategy.

    Raises:
        StrategyError: ``widths`` does not fit the master.
    """
    state = dict(exported.state_dict)
    for name, tensors in _layer_tensors(master, _checked_widths(master, widths)):
        state.update({f"backbone.{name}.{field}": tensor for field, tensor in tensors.items()})
    return renewed(exported, state=state)
