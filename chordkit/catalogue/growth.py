"""A catalogue that grows: rows for new items in a model that is not trained again."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from chordkit.backbones import Backbone, build
from chordkit.catalogue.beginnings import beginnings
from chordkit.catalogue.clicks import read_clicks
from chordkit.catalogue.rows import likeliest_rows
from chordkit.data import Dataset
from chordkit.errors import InputError
from chordkit.progress import Progress


@dataclass(frozen=True)
class Growth:
    """What new items get in the item table.

    Attributes:
        rows: float32 [new items, dim], in the order of their ids.
        biases: float32 [new items] where the model has an item bias, else None.
        clicks: int64 [new items], interactions that they were learned from.
        sources: of each row, what it began with: "content", "neighbours", or "average" where nothing is known of the item.
    """

    rows: np.ndarray
    biases: np.ndarray | None
    clicks: np.ndarray
    sources: list[str]


def grow(
    backbone: Backbone, dataset: Dataset, content: np.ndarray | None = None, *, seed: int = 0, progress: Progress | None = None
) -> Growth:
    """Rows for the items of ``dataset`` that a backbone does not know; all else of it stays as it is.

    A row begins with the item's content or with what stands around it in histories, and goes from there to where the clicks that have been
    seen are most likely (docs/catalogue.md).

    Args:
        backbone: trained on the items 1 .. its ``config.items``.
        dataset: histories over these, numbered alike, and new ones after them.
        content: float32 [items + 1, n], a vector for each item of the data set, NaN where there is none.
        seed: of samples, where there is more than is looked at.
        progress: called with (phase, done, total).

    Raises:
        InputError: there is no new item, or content of another shape.
    """
    known, new = backbone.config.items, dataset.items - backbone.config.items
    if new < 1:
        raise InputError(
            f"catalogue: {dataset.name} has {dataset.items:,} items and the model knows {known:,}: there is none to add; prepare the new "
            "interactions with --catalogue and the data set that the model was trained on"
        )
    if content is not None and (content.ndim != 2 or len(content) != dataset.items + 1):
        raise InputError(f"catalogue: content of shape {list(content.shape)} does not fit {dataset.items:,} items: give [items + 1, n]")
    table = backbone.item_embedding.weight.detach().cpu().numpy()
    begin = beginnings(dataset, table, content, seed)
    bias = None if backbone.item_bias is None else backbone.item_bias.detach().cpu()
    middle = 0.0 if bias is None else float(bias[1:].mean())
    start = torch.cat([torch.from_numpy(begin.rows), torch.full((new, 1), middle)], 1)
    biases = None if bias is None else start[:, -1].numpy()
    clicks = read_clicks(with_items(backbone, begin.rows, biases), known, dataset, seed, progress)
    strength = torch.from_numpy(0.5 / np.maximum(begin.variance, 1e-12))
    found = likeliest_rows(clicks, start, strength, bias is not None, progress).numpy()
    return Growth(
        rows=found[:, :-1].copy(),
        biases=None if bias is None else found[:, -1].copy(),
        clicks=np.bincount(dataset.flat, minlength=dataset.items + 1)[known + 1 :],
        sources=begin.sources,
    )


def with_items(backbone: Backbone, rows: np.ndarray, biases: np.ndarray | None = None) -> Backbone:
    """The same backbone with more items: ``rows`` float32 [new items, dim], and ``biases`` [new items] where it has an item bias.

    Raises:
        InputError: the architecture cannot have more items (a module that was adapted: adapt the larger one).
    """
    config = replace(backbone.config, items=backbone.config.items + len(rows))
    state = dict(backbone.state_dict())
    state["item_embedding.weight"] = torch.cat([state["item_embedding.weight"], torch.from_numpy(rows).to(state["item_embedding.weight"])])
    if biases is not None:
        state["item_bias"] = torch.cat([state["item_bias"], torch.from_numpy(biases).to(state["item_bias"])])
    grown = build(config)
    grown.load_state_dict(state)
    return grown.eval()
