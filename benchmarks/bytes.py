"""Where the bytes of artifacts go: ``python -m benchmarks.bytes``, with ``--out FILE`` for the tables as Markdown.

A strategy of 2, 4 and 8 bits for 65, 20 and 15 % of the channels, at random, weights at random, no two constants equal. Each artifact is
taken apart as a file (``chordkit.export.targets.bytes_of``) and stands beside the least that the same numbers take
(``ideal_bytes``): every weight at its width, a float32 scale a channel, tables at their bits, all else float32.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import build, default_config, make_master
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.targets import Kind, bytes_of, find_target, ideal_bytes, lower
from chordkit.files import write_bytes
from chordkit.quantization import MasterWeights, write_personal

SHARES = (0.65, 0.2, 0.15)
TARGETS = ("litert", "onnx", "openvino", "executorch", "native")
PERSONAL = "native, personal file"
LEAST = "the least"
COLUMNS = {
    "int2": (Kind.WEIGHTS_2,),
    "int4": (Kind.WEIGHTS_4,),
    "int8": (Kind.WEIGHTS_8,),
    "scales": (Kind.SCALES,),
    "zero-points": (Kind.ZERO_POINTS,),
    "orders": (Kind.ORDERS,),
    "items": (Kind.EMBEDDINGS,),
    "positions": (Kind.POSITIONS,),
    "other numbers": (Kind.CONSTANTS, Kind.WEIGHTS_32),
    "graph": (Kind.GRAPH,),
}


@dataclass(frozen=True)
class Model:
    """A master with the widths of its channels."""

    architecture: str
    dim: int
    master: MasterWeights
    widths: np.ndarray


def model(architecture: str, items: int, dim: int, bits: int) -> Model:
    """A model of random weights, none of whose vectors is another's."""
    torch.manual_seed(0)
    backbone = build(default_config(architecture, items, dim=dim)).eval()
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.dim() == 1:
                parameter.uniform_(*(0.5, 1.5) if "norm" in name else (-0.1, 0.1))
    master = make_master(backbone, embedding_bits=bits)
    widths = np.random.default_rng(0).choice([2, 4, 8], master.channel_table.channels, p=SHARES).astype(np.uint8)
    return Model(architecture, dim, master, widths)


def artifacts(which: Model) -> Iterator[tuple[str, dict[Kind, int]]]:
    """The least, and each target's file, by what its bytes are for."""
    least = ideal_bytes(which.master, which.widths)
    yield LEAST, least
    for target in TARGETS:
        if not find_target(target).knows(which.architecture):
            continue
        data = which.master.to_bytes() if target == "native" else lower(ArtifactSpec(target, "strategy"), (which.master, which.widths))
        yield target, bytes_of(target, data)
    if find_target("native").knows(which.architecture):
        # Its numbers are the least's; what it has beside them is its description.
        size = len(write_personal(which.master, which.widths))
        yield PERSONAL, least | {Kind.GRAPH: size - sum(least.values())}


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows)] + [""]


def report(architectures: list[str], dims: list[int], items: int, tell: Callable[[str], None]) -> str:
    """The tables as Markdown: all models side by side, then where the bytes of the smallest go. ``tell`` hears of each as it is found."""
    whole, parts = [], []
    for architecture in architectures:
        for dim in dims:
            for bits in (8, 4):
                found = dict(artifacts(model(architecture, items, dim, bits)))
                least = sum(found[LEAST].values())
                ratios = [f"{sum(found[name].values()) / least:.3f}" if name in found else "" for name in (*TARGETS, PERSONAL)]
                whole.append([f"{architecture}, d = {dim}, tables of {bits} bits", f"{least:,}", *ratios])
                tell(" | ".join(whole[-1]))
                if dim == dims[0]:
                    parts += [f"## {whole[-1][0]}", "", *_table(["", *COLUMNS, "all"], [_parts(*each) for each in found.items()])]
    return "\n".join(["## Of the least", "", *_table(["", "the least, bytes", *TARGETS, PERSONAL], whole), *parts])


def _parts(name: str, told: dict[Kind, int]) -> list[str]:
    return [name, *(f"{sum(told.get(kind, 0) for kind in kinds):,}" for kinds in COLUMNS.values()), f"{sum(told.values()):,}"]


def main() -> None:
    """Print the tables, and write them where told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", default="sasrec,caser,gru4rec")
    parser.add_argument("--dims", default="64,128,256")
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    dims = [int(dim) for dim in arguments.dims.split(",")]
    text = report(arguments.architectures.split(","), dims, arguments.items, partial(print, flush=True))
    print(text)
    if arguments.out is not None:
        write_bytes(arguments.out, text.encode())


if __name__ == "__main__":
    main()
