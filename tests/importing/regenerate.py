"""Writes the golden checkpoints and scores in this folder with the frameworks themselves, of whose code nothing is kept here.

    pip install recbole==1.2.1 safetensors
    python tests/importing/regenerate.py --pmixer FOLDER

FOLDER holds three versions of model.py of github.com/pmixer/SASRec.pytorch: ``masked.py`` (model.py at commit 30c43cf), ``norm_first.py``
(python/model.py at commit 3e5bb0f), and ``query.py``, one between them: padding has a position of its own, padded slots are no longer
set to zero, and there is no norm_first yet.

Weights are random, large enough that each has its say in the scores, and rounded to float16, in which they are stored. Histories are rows
of the item table, oldest first, of every length from 0 (1 for RecBole, which knows no empty history) to three more than the model looks at.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
ITEMS, LENGTH, EACH = 12, 5, 2


class Items:
    """What a model of RecBole asks its data set."""

    def num(self, field: str) -> int:
        return ITEMS + 1


RECBOLE = {
    "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "LIST_SUFFIX": "_list", "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_", "MAX_ITEM_LIST_LENGTH": LENGTH, "device": "cpu", "loss_type": "CE",
}  # fmt: skip
SASREC = {
    "n_layers": 2, "n_heads": 2, "hidden_size": 16, "inner_size": 24, "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5,
    "hidden_act": "gelu", "layer_norm_eps": 1e-12, "initializer_range": 0.02,
}  # fmt: skip
GRU4REC = {"embedding_size": 8, "hidden_size": 12, "num_layers": 1, "dropout_prob": 0.3}
PMIXER = {"hidden_units": 8, "num_blocks": 2, "num_heads": 2, "dropout_rate": 0.2, "maxlen": LENGTH, "device": "cpu"}


@torch.no_grad()
def drawn(model: torch.nn.Module, padding: tuple[str, ...] = ()) -> torch.nn.Module:
    """The model with other weights, those named in ``padding`` with a row 0 of zeros."""
    generator = torch.Generator().manual_seed(7)
    for name, tensor in model.named_parameters():
        scale = 1.0 if tensor.dim() == 1 or "emb" in name else 1.5 * tensor.shape[1] ** -0.5
        tensor.copy_((scale * torch.randn(tensor.shape, generator=generator) + (name.lower().endswith("norm.weight"))).half().float())
        if name in padding:
            tensor[0] = 0
    return model.eval()


def histories(shortest: int) -> np.ndarray:
    generator = np.random.default_rng(3)
    rows = np.zeros(((LENGTH + 4 - shortest) * EACH, LENGTH + 3), np.int64)
    for index, row in enumerate(rows):
        length = shortest + index // EACH
        row[len(row) - length :] = generator.integers(1, ITEMS + 1, length)
    return rows


@torch.no_grad()
def write(name: str, model: torch.nn.Module, shortest: int, score: Callable[[np.ndarray], torch.Tensor]) -> None:
    rows = histories(shortest)
    save_file({key: tensor.half().contiguous() for key, tensor in model.state_dict().items()}, HERE / f"{name}.safetensors")
    scores = torch.stack([score(row[row != 0][-LENGTH:]) for row in rows])
    save_file({"histories": torch.from_numpy(rows.astype(np.int32)), "scores": scores}, HERE / f"{name}.scores.safetensors")
    print(name, sum(tensor.numel() for tensor in model.state_dict().values()), "weights,", tuple(scores.shape), "scores")


def recbole(model: torch.nn.Module) -> Callable[[np.ndarray], torch.Tensor]:
    def score(items: np.ndarray) -> torch.Tensor:
        padded = torch.zeros(1, LENGTH, dtype=torch.int64)
        padded[0, : len(items)] = torch.from_numpy(items)
        return model.full_sort_predict({"item_id_list": padded, "item_length": torch.tensor([len(items)])})[0]

    return score


def pmixer(model: torch.nn.Module) -> Callable[[np.ndarray], torch.Tensor]:
    def score(items: np.ndarray) -> torch.Tensor:
        padded = np.zeros((1, LENGTH), np.int64)
        padded[0, LENGTH - len(items) :] = items
        return model.predict(None, padded, np.arange(ITEMS + 1))[0]

    return score


def version(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pmixer", type=Path, required=True)
    folder = options.parse_args().pmixer
    from recbole.model.sequential_recommender.gru4rec import GRU4Rec
    from recbole.model.sequential_recommender.sasrec import SASRec

    for name, kind, settings in (("recbole-sasrec", SASRec, SASREC), ("recbole-gru4rec", GRU4Rec, GRU4REC)):
        model = drawn(kind(RECBOLE | settings, Items()))
        write(name, model, 1, recbole(model))
    both = ("item_emb.weight", "pos_emb.weight")
    for name, file, extra, padding in (
        ("pmixer-masked", "masked", {}, ()),
        ("pmixer-query", "query", {}, ()),  # its main.py drew the padding's rows at random
        ("pmixer-before", "norm_first", {"norm_first": True}, both),
        ("pmixer-after", "norm_first", {"norm_first": False}, both),
    ):
        model = drawn(version(folder, file).SASRec(3, ITEMS, SimpleNamespace(**PMIXER, **extra)), padding)
        write(name, model, 0, pmixer(model))


if __name__ == "__main__":
    sys.exit(main())
