"""Bring your own model: somebody's own torch module as a backbone (docs/your-model.md)."""

import contextlib
import copy
from dataclasses import dataclass, field, make_dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from chordkit.backbones.architecture import Architecture
from chordkit.backbones.backbone import Backbone
from chordkit.backbones.config import BackboneConfig
from chordkit.backbones.layers import Choices
from chordkit.backbones.probe import close, hidden_state, probe_histories, require_samples_first
from chordkit.backbones.registry import build, register
from chordkit.backbones.replacement import replace_layers, require_replaceable
from chordkit.backbones.soundness import require_finite
from chordkit.errors import InputError

_PREFIX = "model."


@dataclass(frozen=True)
class AdaptedConfig(BackboneConfig):
    """Sizes of an adapted module; they are what the module has, and no others are possible."""

    sizes: ClassVar[dict[str, int]]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in self.sizes.items():
            self.require(getattr(self, name) == size, name, f"the module that was adapted under this name has {size}")


class AdaptedBackbone(Backbone):
    """A backbone around somebody's own module; its layers of the strategy stand under ``model.<path in the module>``."""

    def __init__(self, config: BackboneConfig, model: nn.Module, table: str) -> None:
        """Take over ``model``.

        Args:
            config: of the backbone.
            model: the module; its layers are replaced.
            table: path in it of the item embedding, which the backbone owns from now on.
        """
        super().__init__(config)
        own = model.get_submodule(table)
        assert isinstance(own, nn.Embedding)
        self.item_embedding = nn.Embedding(own.num_embeddings, own.embedding_dim, padding_idx=0, _weight=own.weight.detach())
        self.item_embedding.weight.requires_grad_(own.weight.requires_grad)
        model.set_submodule(table, _ItemTable(self))
        replace_layers(model)
        self.model = model

    def encode(self, history: Tensor, choices: Choices | None = None) -> Tensor:
        """What the module gives for ``history``; ``choices`` reach its layers although its forward does not pass them on."""
        with contextlib.ExitStack() as stack:
            for name, choice in (choices or {}).items():
                stack.enter_context(self.get_submodule(name).register_forward_pre_hook(_Given(choice)))
            hidden: Tensor = self.model(history)
        return hidden


class _Given:
    """A hook that calls a channel layer with the choice of its samples."""

    def __init__(self, choice: Tensor) -> None:
        self.choice = choice

    def __call__(self, layer: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = arguments[0]
        # [batch * parts, ...]: the parts of a sample stand together (adapt has seen to it) and share its widths.
        parts = len(x) // len(self.choice)
        return x, self.choice if parts == 1 else self.choice.repeat_interleave(parts, dim=0)


class _ItemTable(nn.Module):
    """Stands where the module has its item embedding. The tensor has one name, the backbone's, under which it is quantised and exported."""

    def __init__(self, owner: Backbone) -> None:
        super().__init__()
        self._owner = (owner,)  # in a tuple, so that it is no submodule
        self.num_embeddings, self.embedding_dim, self.padding_idx = owner.config.items + 1, owner.config.dim, 0

    @property
    def weight(self) -> Tensor:
        """The whole table [items + 1, dim]."""
        return self._owner[0].item_embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ``ids`` [...]: [..., dim]."""
        rows: Tensor = self._owner[0].item_embedding(ids)
        return rows


def adapt(module: nn.Module, *, name: str, max_length: int, items: int, item_embedding: str | None = None) -> Backbone:
    """A backbone of your own module: it gets master weights, strategies and artifacts as every other one does.

    ``nn.Linear``, ``nn.Conv1d``, ``nn.Conv2d`` and ``nn.MultiheadAttention`` inside it become channel layers with the same weights, and its
    item embedding scores the items. The module itself is not changed. It becomes an architecture called ``name`` in this process
    (:func:`chordkit.backbones.register`); master weights carry that name only, so whoever loads them elsewhere adapts the same module
    first, with any weights. Training starts from the weights that the module has now.

    Args:
        module: maps history ids [batch, max_length], int32 or int64, left-padded with 0, to the hidden state [batch, dim]. An item's score
            is the inner product of that state with the item's embedding.
        name: of the architecture, in master weights and messages; a name that was adapted before is replaced.
        max_length: slots of the history.
        items: number of items, without the padding id 0.
        item_embedding: module path of the ``nn.Embedding`` with ``items + 1`` rows; None = the only one of that size.

    Returns:
        The backbone, in eval mode; ``docs/your-model.md`` lists what is found, replaced and refused.

    Raises:
        InputError: the module cannot be a backbone as it is; the sentence names the layer by its path, and the mend.
    """
    if not isinstance(module, nn.Module) or isinstance(module, Backbone | torch.jit.ScriptModule):
        raise InputError(
            f"adapt: {type(module).__name__} is no module of your own: give a torch.nn.Module that is neither scripted nor a backbone"
        )
    path, dim = _item_embedding(module, items, item_embedding)
    for tensor_name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise InputError(f"adapt: {tensor_name!r} is {tensor.dtype}: a master holds float32; call module.float() first")
    require_finite(module.state_dict(), InputError, "adapt")
    require_replaceable(module)
    config = _config(name, items, max_length, dim)
    original = _copy(module)
    histories = probe_histories(items, max_length)
    expected = hidden_state(original, histories, dim)
    hidden_state(original, histories.long(), dim)
    backbone = AdaptedBackbone(config, original, path).eval()
    if not backbone.channel_layers():
        raise InputError("adapt: the module has no nn.Linear, nn.Conv1d or nn.Conv2d: a strategy has nothing to work on")
    if not close(expected, hidden_state(backbone.encode, histories, dim)):
        raise InputError("adapt: the module computes something else with its layers replaced: its forward must not look at their types")
    require_samples_first(backbone, histories, _PREFIX)
    register(_architecture(backbone))
    return build(config).eval()


def _item_embedding(module: nn.Module, items: int, path: str | None) -> tuple[str, int]:
    """Path of the item embedding, and its number of columns."""
    tables = {name: each for name, each in module.named_modules() if isinstance(each, nn.Embedding)}
    fitting = [name for name, each in tables.items() if each.num_embeddings == items + 1]
    if path is None:
        if len(fitting) != 1:
            seen = ", ".join(f"{name} {list(each.weight.shape)}" for name, each in tables.items()) or "none"
            count = f"{len(fitting)} embeddings have" if fitting else "no nn.Embedding has"
            raise InputError(
                f"adapt: {count} items + 1 = {items + 1} rows (the module's: {seen}): name the items' with item_embedding, or mend items"
            )
        path = fitting[0]
    elif path not in fitting:
        raise InputError(f"adapt: item_embedding = {path!r} is no nn.Embedding with items + 1 = {items + 1} rows; there are: {fitting}")
    weight = tables[path].weight
    if weight[0].any():
        raise InputError(
            f"adapt: row 0 of {path!r}, the padding's, is not zero, as it must be: train with padding_idx=0, "
            f"or zero it (with torch.no_grad(): module.{path}.weight[0] = 0)"
        )
    return path, weight.shape[1]


def _copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module).cpu().eval()
    except (RuntimeError, TypeError) as error:
        raise InputError(f"adapt: the module cannot be copied, keep nothing but parameters, buffers and settings in it: {error}") from None


def _config(name: str, items: int, max_length: int, dim: int) -> BackboneConfig:
    """The configuration, of a class whose defaults are the module's sizes."""
    sizes = {"items": items, "max_length": max_length, "dim": dim}
    fields = [(each, int, field(default=size)) for each, size in sizes.items() if each != "items"]
    kind = make_dataclass("AdaptedConfig", fields, bases=(AdaptedConfig,), frozen=True, namespace={"architecture": name, "sizes": sizes})
    config: BackboneConfig = kind(**sizes)
    return config


def _architecture(backbone: AdaptedBackbone) -> Architecture:
    config = backbone.config
    return Architecture(
        title=config.architecture,
        config=type(config),
        model=lambda _: copy.deepcopy(backbone),
        examples=(config,),
        accuracy="that of the module that was adapted",
        trained=True,
    )
