"""The tables: which tensor of another framework is which of ours, and what of the model is not in its tensors."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from chordkit.backbones import BackboneConfig, SASRecConfig, find_architecture
from chordkit.errors import CheckpointError, InputError
from chordkit.importing.checkpoint import Checkpoint

State = dict[str, Tensor]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Settings:
    """What a state dict does not say; None = not given.

    Attributes:
        heads: attention heads.
        max_length: items of a history that the model looks at.
        activation: of the feed-forward layers.
        norm_eps: epsilon of the norms.
        norm: where pmixer's versions have their norms: ``query`` (of the queries alone: those from before ``--norm_first``), ``before``
            (with it) or ``after`` (without it).
    """

    heads: int | None = None
    max_length: int | None = None
    activation: str | None = None
    norm_eps: float | None = None
    norm: str | None = None

    def given(self) -> dict[str, Any]:
        """Those that are there."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


@dataclass(frozen=True)
class Framework:
    """A model of another framework.

    Attributes:
        title: what people call it.
        asked: settings that have to be given, each with where its owner finds it.
        assumed: settings with the framework's own default.
        translate: makes a configuration and a state dict of ours, the items in the checkpoint's order.
    """

    title: str
    asked: dict[str, str]
    assumed: dict[str, Any]
    translate: Callable[[Checkpoint, dict[str, Any]], tuple[BackboneConfig, State]]

    def settings(self, name: str, settings: Settings) -> dict[str, Any]:
        """All settings of this model.

        Raises:
            InputError: one is missing, or is none of its own.
        """
        given = settings.given()
        for each in given:
            if each not in self.asked and each not in self.assumed:
                raise InputError(f"{_option(each)}: {name} has no such setting; leave it out")
        for each, where in self.asked.items():
            if each not in given:
                raise InputError(f"{name}: {each.replace('_', ' ')} cannot be read from the weights: give {_option(each)} ({where})")
        return self.assumed | given


def _option(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def _without_padding(table: Tensor) -> Tensor:
    """An item table whose row 0 is zero. Frameworks draw that row at random, never train it, and let it reach no score of an item."""
    table = table.clone()
    table[0] = 0
    return table


_RECBOLE_BLOCK = {
    "multi_head_attention.query": "query",
    "multi_head_attention.key": "key",
    "multi_head_attention.value": "value",
    "multi_head_attention.dense": "output",
    "feed_forward.dense_1": "ffn1",
    "feed_forward.dense_2": "ffn2",
}
_RECBOLE_NORMS = {"multi_head_attention.LayerNorm": "attention_norm", "feed_forward.LayerNorm": "ffn_norm"}


def _recbole_sasrec(checkpoint: Checkpoint, settings: dict[str, Any]) -> tuple[BackboneConfig, State]:
    blocks = checkpoint.count("trm_encoder.layer.")
    items, positions = checkpoint.take("item_embedding.weight", 2), checkpoint.take("position_embedding.weight", 2)
    state = {"item_embedding.weight": _without_padding(items), "position_embedding.weight": positions}
    state |= checkpoint.take_modules({"LayerNorm": "embedding_norm"}, 1)
    for block in range(blocks):
        theirs, ours = f"trm_encoder.layer.{block}.", f"blocks.{block}."
        state |= checkpoint.take_modules({theirs + one: ours + other for one, other in _RECBOLE_BLOCK.items()}, 2)
        state |= checkpoint.take_modules({theirs + one: ours + other for one, other in _RECBOLE_NORMS.items()}, 1)
    config = SASRecConfig(
        items=len(items) - 1, max_length=len(positions), dim=items.shape[1], blocks=_some(checkpoint, blocks),
        ffn_dim=len(state["blocks.0.ffn1.bias"]), norm_first=False, positions_from_oldest=True, **settings,
    )  # fmt: skip
    return config, state


def _recbole_gru4rec(checkpoint: Checkpoint, settings: dict[str, Any]) -> tuple[BackboneConfig, State]:
    if checkpoint.has("gru_layers.weight_ih_l1"):
        raise CheckpointError(
            f"{checkpoint.name}: this GRU4Rec has more than one recurrent layer, chordkit's has one: train with num_layers: 1, "
            "or bring a module with the steps written as nn.Linear (ck.adapt, docs/your-model.md)"
        )
    items = checkpoint.take("item_embedding.weight", 2)
    state = {"item_embedding.weight": _without_padding(items)}
    for theirs, ours in (("ih", "input"), ("hh", "recurrent")):
        weight = state[f"{ours}.weight"] = checkpoint.take(f"gru_layers.weight_{theirs}_l0", 2)
        bias = f"gru_layers.bias_{theirs}_l0"
        # RecBole's has none.
        state[f"{ours}.bias"] = checkpoint.take(bias, 1) if checkpoint.has(bias) else torch.zeros(len(weight))
    state |= checkpoint.take_modules({"dense": "dense"}, 2)
    hidden = state["recurrent.weight"].shape[1]
    return find_architecture("gru4rec").config.create({"items": len(items) - 1, "dim": items.shape[1], "hidden": hidden, **settings}), state


def _pmixer_sasrec(checkpoint: Checkpoint, settings: dict[str, Any]) -> tuple[BackboneConfig, State]:
    blocks, length = checkpoint.count("attention_layers."), settings["max_length"]
    items, positions = checkpoint.take("item_emb.weight", 2), checkpoint.take("pos_emb.weight", 2)
    dim = items.shape[1]
    masked = len(positions) == length
    if len(positions) not in (length, length + 1) or (masked and settings["norm"] != "query"):
        raise CheckpointError(
            f"{checkpoint.name}: 'pos_emb.weight' has {len(positions)} rows, which is not what {settings['norm']!r} norms and "
            f"max_length = {length} make (positions 1 to max_length and one for padding): check --max-length and --norm"
        )
    state = {
        "item_embedding.weight": _without_padding(items),
        "position_embedding.weight": positions[len(positions) - length :],
        "padding": torch.zeros(dim) if masked else items[0] * dim**0.5 + positions[0],
    }
    state |= checkpoint.take_modules({"last_layernorm": "final_norm"}, 1)
    for block in range(blocks):
        ours, attention = f"blocks.{block}.", f"attention_layers.{block}."
        for part in ("weight", "bias"):
            fused = checkpoint.take(f"{attention}in_proj_{part}", 2 if part == "weight" else 1)
            for name, third in zip(("query", "key", "value"), fused.tensor_split(3), strict=True):
                state[f"{ours}{name}.{part}"] = third.clone()
        state |= checkpoint.take_modules({attention + "out_proj": ours + "output"}, 2)
        norms = {f"attention_layernorms.{block}": ours + "attention_norm", f"forward_layernorms.{block}": ours + "ffn_norm"}
        state |= checkpoint.take_modules(norms, 1)
        convolutions = {f"forward_layers.{block}.conv{number}": f"{ours}ffn{number}" for number in (1, 2)}
        # Convolutions over one slot.
        taken = checkpoint.take_modules(convolutions, 3).items()
        state |= {name: tensor.squeeze(2) if tensor.dim() == 3 else tensor for name, tensor in taken}
    values = {"items": len(items) - 1, "max_length": length, "dim": dim, "blocks": _some(checkpoint, blocks), "heads": settings["heads"]}
    return find_architecture("pmixer").config.create(values | {"variant": "masked" if masked else settings["norm"]}), state


def _some(checkpoint: Checkpoint, blocks: int) -> int:
    if blocks == 0:
        raise CheckpointError(f"{checkpoint.name}: it has no attention layer: it is no checkpoint of that model; check --from")
    return blocks


FRAMEWORKS: dict[str, Framework] = {
    "recbole-sasrec": Framework(
        "RecBole's SASRec", {"heads": "n_heads in its configuration; RecBole's default is 2"},
        {"activation": "gelu", "norm_eps": 1e-12}, _recbole_sasrec,
    ),
    "recbole-gru4rec": Framework(
        "RecBole's GRU4Rec", {"max_length": "MAX_ITEM_LIST_LENGTH in its configuration; RecBole's default is 50"}, {}, _recbole_gru4rec,
    ),
    "pmixer-sasrec": Framework(
        "the SASRec of pmixer/SASRec.pytorch",
        {
            "heads": "num_heads in args.txt, or head= in the file's name", "max_length": "maxlen there",
            "norm": "query: model.py had no norm_first yet; before: trained with --norm_first; after: without",
        },
        {}, _pmixer_sasrec,
    ),
}  # fmt: skip


def find_framework(name: str) -> Framework:
    """The framework called ``name``.

    Raises:
        InputError: there is none; the message names those that there are.
    """
    if name not in FRAMEWORKS:
        raise InputError(f"--from {name}: unknown; use one of {', '.join(FRAMEWORKS)}, or bring a module of your own (ck.adapt)")
    return FRAMEWORKS[name]
