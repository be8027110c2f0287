"""Where the bytes of artifacts go: ``python -m benchmarks.bytes --out docs/results/bytes.md``.

A strategy of 2, 4 and 8 bits for 65, 20 and 15 % of the channels, at random, weights at random, no two constants equal. Each artifact is
taken apart as a file (``chordkit.export.targets.bytes_of``) and stands beside the least that the same numbers take
(``ideal_bytes``): every weight at its width, a float32 scale a channel, tables at their bits, all else float32.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import build, default_config, make_master
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.targets import Kind, bytes_of, find_target, ideal_bytes, lower
from chordkit.files import write_bytes
from chordkit.quantization import MasterWeights, write_personal

SHARES = (0.65, 0.2, 0.15)
TARGETS = ("litert", "onnx", "openvino", "executorch", "executorch-chord", "native")
PERSONAL = "native, personal file"
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


def rows(which: Model) -> Iterator[list[str]]:
    """The least, and each target's file, as cells."""
    least = ideal_bytes(which.master, which.widths)
    yield _row("the least", least, sum(least.values()))
    for target in TARGETS:
        if not find_target(target).knows(which.architecture):
            continue
        data = which.master.to_bytes() if target == "native" else lower(ArtifactSpec(target, "strategy"), (which.master, which.widths))
        yield _row(target, bytes_of(target, data), sum(least.values()))
    if find_target("native").knows(which.architecture):
        # Its numbers are the least's; what it has beside them is its description.
        size = len(write_personal(which.master, which.widths))
        yield _row(PERSONAL, least | {Kind.GRAPH: size - sum(least.values())}, sum(least.values()))


def _row(name: str, told: dict[Kind, int], least: int) -> list[str]:
    whole = sum(told.values())
    return [name, *(f"{sum(told.get(kind, 0) for kind in kinds):,}" for kinds in COLUMNS.values()), f"{whole:,}", f"{whole / least:.3f}"]


def report(architectures: list[str], dims: list[int], items: int) -> str:
    """The tables as Markdown."""
    head = ["", *COLUMNS, "all", "of the least"]
    lines = ["# Where the bytes go", "", *(__doc__ or "").strip().splitlines()[2:], "", f"{items:,} items, 100 candidates.", ""]
    for bits in (8, 4):
        for architecture in architectures:
            for dim in dims if bits == 8 else dims[:1]:
                lines += [f"## {architecture}, d = {dim}, tables of {bits} bits", "", "| " + " | ".join(head) + " |"]
                lines += ["|---" + "|---:" * (len(head) - 1) + "|"]
                lines += ["| " + " | ".join(row) + " |" for row in rows(model(architecture, items, dim, bits))] + [""]
    return "\n".join(lines)


def main() -> None:
    """Print the tables, and write them where told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", default="sasrec,caser,gru4rec")
    parser.add_argument("--dims", default="64,128,256")
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    text = report(arguments.architectures.split(","), [int(dim) for dim in arguments.dims.split(",")], arguments.items)
    print(text)
    if arguments.out is not None:
        write_bytes(arguments.out, text.encode())


if __name__ == "__main__":
    main()
