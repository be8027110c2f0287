"""How large logits are, what each of the engine's two ways to attend is off by, and what each costs.

    python benchmarks/kernels/sharp_attention.py errors [--models cds.safetensors=cds-data.safetensors ...] [--factors 1,2,5,10]
    python benchmarks/kernels/sharp_attention.py times [--rounds 60]

`errors` takes trained backbones, each with the data set whose held-out histories it shall see (a file or a name), or random ones where none
are given; multiplies the weights of all layers (with --queries: of queries only) by each factor; and prints Markdown: the spread of the
logits around the mean of their row and the largest distance from it (natural logarithm), the sharpness that the engine goes by, the way
it takes, and how far scores are from PyTorch with each (root mean square, over the spread of PyTorch's scores). What the engine does
not take is computed by its numpy reference. `times` runs each shape with ordinary and with large queries, in turns.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from chordkit.backbones import Backbone, SASRecConfig, build, from_master, make_master
from chordkit.data import load_named, split
from chordkit.kernels import Engine, is_sharp, sharpness, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.interleave import interleave, last_processor, no_collection, one_processor
from chordkit.training import load_backbone

CANDIDATES = 100
RANDOM = {
    "random, norms first, 1 head": SASRecConfig(items=500, heads=1, norm_first=True),
    "random, norms last, 2 heads": SASRecConfig(items=500, heads=2),
}
SHAPES = {
    "d = 64, L = 50, 1 head": SASRecConfig(items=3706, heads=1),
    "d = 64, L = 50, 2 heads": SASRecConfig(items=3706),
    "d = 64, L = 50, 4 heads": SASRecConfig(items=3706, heads=4),
    "d = 64, L = 200, 1 head": SASRecConfig(items=3706, heads=1, max_length=200),
    "d = 128, ffn 512, L = 50, 2 heads": SASRecConfig(items=3706, dim=128, ffn_dim=512),
}
Ids = NDArray[np.int32]


def scaled(backbone: Backbone, factor: float, only: str = "") -> Backbone:
    """A copy whose layers named ``...only`` have ``factor`` times the weights."""
    result = copy.deepcopy(backbone)
    with torch.no_grad():
        for name, layer in result.channel_layers().items():
            if name.endswith(only):
                layer.weight.mul_(factor)
    return result


def logits(master: MasterWeights, histories: Ids) -> tuple[float, float]:
    """Spread of the float model's logits around the mean of their row, and the largest distance from it; over all blocks and heads."""
    model, config = from_master(master), master.config
    kept: dict[str, torch.Tensor] = {}
    for name, layer in model.channel_layers().items():
        if name.endswith((".query", ".key")):
            layer.register_forward_hook(lambda _layer, _inputs, output, name=name: kept.update({name: output}))
    with torch.no_grad():
        model.encode(torch.from_numpy(histories).long())
    full = torch.from_numpy(histories != 0)
    squares, count, most = 0.0, 0, 0.0
    for block in range(int(config["blocks"])):
        queries, keys = (kept[f"blocks.{block}.{part}"].unflatten(-1, (int(config["heads"]), -1)) for part in ("query", "key"))
        first = keys.shape[1] - queries.shape[1]
        seen = torch.ones(keys.shape[1], keys.shape[1], dtype=torch.bool).tril()[first:] & full[:, None] & full[:, first:, None]
        of_block = torch.einsum("bqhc,bkhc->hbqk", queries, keys) / queries.shape[-1] ** 0.5
        number = seen.sum(-1, keepdim=True).clamp(min=1)
        distance = ((of_block - (of_block * seen).sum(-1, keepdim=True) / number) * seen).double()
        squares, count = squares + float((distance**2).sum()), count + int(seen.sum()) * len(distance)
        most = max(most, float(distance.abs().max()))
    return (squares / count) ** 0.5, most


def error(scores: NDArray[np.floating], master: MasterWeights, histories: Ids, candidates: Ids) -> float:
    """Root mean square of what ``scores`` are off the PyTorch model's, over the spread of these."""
    with torch.no_grad():
        model = from_master(master)
        exact = model.score(model.encode(torch.from_numpy(histories).long()), torch.from_numpy(candidates).long()).numpy()
    spread = exact - exact.mean(1, keepdims=True)
    return float(np.sqrt(((scores - exact) ** 2).mean() / (spread**2).mean()))


def cases(models: list[str], histories: int) -> Iterator[tuple[str, Backbone, Ids, int]]:
    """Name, backbone, histories of at least two items, and size of the catalogue."""
    generator = np.random.default_rng(0)
    for model in models:
        path, _, data = model.partition("=")
        backbone, dataset = load_backbone(path)[0], load_named(data)
        part = split(dataset, backbone.config.max_length, 5, 5).test.histories
        part = part[(part != 0).sum(1) > 1]
        yield Path(path).stem, backbone, part[np.sort(generator.choice(len(part), min(histories, len(part)), replace=False))], dataset.items
    for name, config in {} if models else RANDOM.items():
        torch.manual_seed(5)
        yield (
            name,
            build(config).eval(),
            generator.integers(1, config.items + 1, (histories, config.max_length)).astype(np.int32),
            config.items,
        )


def errors(arguments: argparse.Namespace) -> None:
    """The table of logits and errors."""
    print("| | weights | logits: spread | largest | sharpness | takes | error in 8 bits | error in 16 bits and floats |")
    print("|---|---|---|---|---|---|---|---|")
    for name, backbone, histories, items in cases(arguments.models, arguments.histories):
        candidates = np.random.default_rng(1).integers(1, items + 1, (len(histories), CANDIDATES)).astype(np.int32)
        for factor in map(float, arguments.factors.split(",")):
            master = make_master(scaled(backbone, factor, ".query" if arguments.queries else ""))
            found = []
            for sharp in (False, True):
                if sharp is is_sharp(master):
                    scores = Engine(master.to_bytes()).scores(histories, candidates)
                else:
                    engine = ReferenceEngine(master, sharp=sharp)
                    scores = np.stack([engine.scores(*pair) for pair in zip(histories, candidates, strict=True)])
                found.append(error(scores, master, histories, candidates))
            spread, most = logits(master, histories)
            way = "16 bits" if is_sharp(master) else "8 bits"
            print(
                f"| {name} | x {factor:g} | {spread:.2f} | {most:.1f} | {sharpness(master):.2f} | {way} "
                f"| {100 * found[0]:.2f} % | {100 * found[1]:.3f} % |",
                flush=True,
            )


def reranks(config: SASRecConfig, variant: str, factor: float) -> list[Callable[[], object]]:
    """Calls with two full histories, as the last one is known, and 100 candidates; a sharp model's where ``factor`` is large."""
    torch.manual_seed(0)
    prepared = Engine(make_master(scaled(build(config), factor, ".query")).to_bytes(), variant).prepare(config.max_length, CANDIDATES)
    generator = np.random.default_rng(0)
    prepared.history[:] = generator.integers(1, config.items + 1, config.max_length)
    prepared.candidates[:] = generator.integers(1, config.items + 1, CANDIDATES)

    def run(newest: int) -> None:
        prepared.history[-1] = newest
        prepared.run()

    return [partial(run, newest) for newest in (1, 2)]


def times(arguments: argparse.Namespace) -> None:
    """The table of times: the smallest, and the median of the ratios within a round."""
    names = [variant.name for variant in variants() if variant.supported and variant.name != "scalar"]
    print("| | variant | us in 8 bits | us in 16 bits and floats | ratio |\n|---|---|---|---|---|")
    for shape, config in SHAPES.items():
        for name in names:
            walks = [reranks(config, name, factor) for factor in (1.0, 100.0)]
            with one_processor(last_processor()), no_collection():
                blocks = interleave(walks, [20, 20], arguments.rounds, np.random.default_rng(0), warmup_calls=2)
            ordinary, sharp = (np.array([np.median(block.calls) for block in mine]) for mine in blocks)
            print(f"| {shape} | {name} | {ordinary.min():.1f} | {sharp.min():.1f} | {np.median(sharp / ordinary):.2f} x |", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    of_errors = commands.add_parser("errors")
    of_errors.add_argument("--models", nargs="+", default=[], metavar="BACKBONE=DATA")
    of_errors.add_argument("--factors", default="1,2,5,10")
    of_errors.add_argument("--histories", type=int, default=48)
    of_errors.add_argument("--queries", action="store_true", help="multiply queries only")
    of_errors.set_defaults(run=errors)
    of_times = commands.add_parser("times")
    of_times.add_argument("--rounds", type=int, default=60)
    of_times.set_defaults(run=times)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
