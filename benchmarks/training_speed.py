"""An epoch of training and a full ranking: chordkit and plain torch, in turns in one process; and an epoch of the hypernetwork.

    CHORDKIT_DATA=../shared/data python benchmarks/training_speed.py --data ml-100k [--rounds 5] [--threads 1]

Plain torch is what one writes in an hour: ``nn.TransformerEncoder``, ``nn.Conv1d``, ``functional.cross_entropy`` over the whole catalogue,
AdamW; the same windows, targets, sizes and steps, no checkpoints, no moving average. Caser's windows are histories, one a target. Figures
are processor seconds, the least of all rounds; a ratio is of these.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones import build, default_config, initialise
from chordkit.data import Dataset, SplitPart, load_named, split
from chordkit.hypernetwork import default_hypernetwork_options, train_hypernetwork
from chordkit.training import default_options, rank_targets, train_backbone
from chordkit.training.run import Run
from chordkit.training.windows import TrainingWindows

DIM, HEADS, DROPOUT, LENGTH = 64, 2, 0.2, 50


class PlainSASRec(nn.Module):
    """States of all slots."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items, self.positions = nn.Embedding(items + 1, DIM, padding_idx=0), nn.Embedding(LENGTH, DIM)
        layer = nn.TransformerEncoderLayer(DIM, HEADS, DIM, DROPOUT, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.drop = nn.LayerNorm(DIM), nn.Dropout(DROPOUT)

    def forward(self, histories: Tensor) -> Tensor:
        length = histories.shape[1]
        x = self.drop(self.norm(self.items(histories) + self.positions.weight[-length:]))
        mask = torch.full((length, length), -1e9).triu(1)
        padding = torch.where(histories == 0, -1e9, 0.0)
        states: Tensor = self.encoder(x, mask=mask, src_key_padding_mask=padding)
        return states


class PlainCaser(nn.Module):
    """The state after a history, as its only slot."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, DIM, padding_idx=0)
        self.across = nn.ModuleList(nn.Conv1d(DIM, 16, height) for height in (2, 3, 4))
        self.along, self.out, self.drop = nn.Linear(LENGTH, 4), nn.Linear(48 + 4 * DIM, DIM), nn.Dropout(0.4)

    def forward(self, histories: Tensor) -> Tensor:
        x = self.drop(self.items(histories)).transpose(1, 2)
        parts = [functional.relu(each(x)).amax(dim=2) for each in self.across]
        z = torch.cat([*parts, self.along(x).transpose(1, 2).flatten(1)], dim=1)
        return functional.relu(self.out(self.drop(z))).unsqueeze(1)


def plain_epoch(model: nn.Module, items: nn.Embedding, steps: list[tuple[Tensor, Tensor]], lr: float, smoothing: float) -> float:
    """Processor seconds of all steps, each (histories, targets of the states, 0 = none)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr)
    model.train()
    begun = time.process_time()
    for histories, targets in steps:
        kept = targets != 0
        logits = model(histories)[kept] @ items.weight[1:].T
        loss = functional.cross_entropy(logits, targets[kept] - 1, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - begun


def plain_steps(dataset: Dataset, architecture: str) -> list[tuple[Tensor, Tensor]]:
    """What chordkit's own steps are made of."""
    options, caser = default_options(architecture), architecture == "caser"
    windows = TrainingWindows(split(dataset, LENGTH).train, options.stride if caser else LENGTH, LENGTH - 1 if caser else 0, options.stride)
    torch.manual_seed(0)
    order, sizes = windows.shuffle(options.batch, options.bucketing)
    steps = []
    for numbers in order.split(sizes.tolist()):
        batch = windows.batch(numbers)
        states = batch.inputs.shape[0] * (batch.inputs.shape[1] - windows.context)
        targets = torch.zeros(states, dtype=torch.int64).index_copy_(0, batch.indices, batch.targets)
        inputs = batch.inputs.long()
        if caser:
            histories = inputs.unfold(1, LENGTH, 1).flatten(0, 1)[batch.indices]
            steps.append((histories, batch.targets[:, None]))
        else:
            steps.append((inputs, targets.view(inputs.shape)))
    return steps


@torch.no_grad()
def plain_ranks(model: nn.Module, items: nn.Embedding, part: SplitPart, masked: bool) -> np.ndarray:
    """Ranks of the targets, the seen items left out where ``masked``."""
    model.eval()
    ranks = []
    for start in range(0, len(part), 1024):
        rows = slice(start, start + 1024)
        scores = model(torch.from_numpy(part.histories[rows]).long())[:, -1] @ items.weight.T
        targets = torch.from_numpy(part.targets[rows]).long()[:, None]
        own = scores.gather(1, targets)
        scores[:, 0] = -torch.inf
        if masked:
            row, seen = part.seen(rows)
            scores[torch.from_numpy(row).long(), torch.from_numpy(seen).long()] = -torch.inf
        ranks.append((scores >= own).sum(dim=1))
    return torch.cat(ranks).numpy()


def epochs_of(train: Callable[[], Any]) -> float:
    """Processor seconds that the steps of the one epoch take which ``train`` runs."""
    spent, run_epoch = [], Run._run_epoch

    def timed(self: Run, progress: Any) -> None:
        begun = time.process_time()
        run_epoch(self, progress)
        spent.append(time.process_time() - begun)

    Run._run_epoch = timed  # type: ignore[method-assign]
    try:
        train()
    finally:
        Run._run_epoch = run_epoch  # type: ignore[method-assign]
    (seconds,) = spent
    return seconds


def seconds(work: Callable[[], Any]) -> float:
    """Processor seconds of ``work``."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    """Print a line a comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="sasrec,caser,ranking,hypernetwork")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = load_named(arguments.data)
    sizes, only = default_config("sasrec", dataset.items), arguments.only.split(",")
    pairs: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {}
    for name, kind in (("sasrec", PlainSASRec), ("caser", PlainCaser)):
        if name in only:
            options = default_options(name, epochs=1, threads=arguments.threads)
            plain, steps = kind(dataset.items), plain_steps(dataset, name)
            pairs[f"{name}: an epoch"] = (
                lambda name=name, options=options: epochs_of(  # type: ignore[misc]
                    lambda: train_backbone(dataset, default_config(name, dataset.items), options)
                ),
                lambda plain=plain, steps=steps, options=options: plain_epoch(  # type: ignore[misc]
                    plain, plain.items, steps, options.lr, options.smoothing
                ),
            )
    if "ranking" in only:
        backbone, plain, part = initialise(build(sizes), seed=0), PlainSASRec(dataset.items), split(dataset, LENGTH, held_out=5).test
        for masked in (False, True):
            pairs["ranking, masked" if masked else "ranking"] = (
                lambda masked=masked: seconds(lambda: rank_targets(backbone, part, masked=masked)),  # type: ignore[misc]
                lambda masked=masked: seconds(lambda: plain_ranks(plain, plain.items, part, masked)),  # type: ignore[misc]
            )
    print(json.dumps({"torch": torch.__version__, "threads": arguments.threads, "data": arguments.data}), flush=True)
    for name, contenders in pairs.items():
        rounds = [[contender() for contender in contenders] for _ in range(arguments.rounds)]
        own, plain_torch = np.min(rounds, axis=0)
        line = {"what": name, "chordkit": round(own, 3), "plain torch": round(plain_torch, 3), "ratio": round(own / plain_torch, 2)}
        print(json.dumps(line), flush=True)
    if "hypernetwork" in only:
        source, hyper = initialise(build(sizes), seed=0), default_hypernetwork_options(epochs=1, threads=arguments.threads)
        found = min(epochs_of(lambda: train_hypernetwork(dataset, source, None, hyper)) for _ in range(arguments.rounds))
        print(json.dumps({"what": "hypernetwork: an epoch", "chordkit": round(found, 3)}))


if __name__ == "__main__":
    main()
