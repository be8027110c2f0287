"""What channels that are off save: products, whole reranks and adoption with all channels on, 37.5 % and 25 %.

    python benchmarks/kernels/off_channels.py [--dims 64 128 256] [--heads 2] [--variants avx512vnni avx2 ...] [--rounds 300]

Random weights with biases, exactly so many channels of the whole model on, drawn at random (so a layer has a few more or less). Everything
of one variant takes turns in one process; products are those of the first block over all 50 positions, with what puts their results where
they belong. Cells are microseconds; one head's queries and keys are one product, and values and outputs, where that is smaller. Variants:
all that this CPU runs and that are not the definition.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.kernels import build as libchord
from chordkit.kernels import variants
from chordkit.strategy import Strategy, encode

HERE = Path(__file__).resolve().parent
SHARES = (1.0, 0.375, 0.25)
KINDS = ("query", "key", "value", "output", "ffn1", "ffn2", "rerank", "adoption")


def build_program(folder: Path) -> Path:
    program = folder / "off_channels"
    sources = [str(path) for path in (*libchord.sources(), HERE / "off_channels.c")]
    subprocess.run(["cc", *libchord.flags(), *sources, "-lm", "-o", str(program)], check=True)
    return program


def make_case(folder: Path, dim: int, heads: int) -> list[str]:
    """Paths of a master and its strategies."""
    torch.manual_seed(5)
    backbone = build(SASRecConfig(items=3707, dim=dim, max_length=50, heads=heads, ffn_dim=dim, norm_first=True))
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    master = make_master(backbone)
    paths = [folder / f"{dim}.chrm", *(folder / f"{dim}-{share:g}.chrd" for share in SHARES)]
    paths[0].write_bytes(master.to_bytes())
    channels = master.channel_table.channels
    for share, path in zip(SHARES, paths[1:], strict=True):
        widths = np.zeros(channels, np.uint8)
        widths[np.random.default_rng(0).permutation(channels)[: round(share * channels)]] = 8
        path.write_bytes(encode(Strategy(widths, master.fingerprint), allow_off=True))
    return [str(path) for path in paths]


def measure(program: Path, variant: str, case: list[str], rounds: int) -> np.ndarray:
    """Microseconds ``[share][six products, their sum, rerank, adoption]``."""
    command = [str(program), case[0], variant, str(rounds), *case[1:]]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    times = np.array([line.split() for line in lines], np.float64) / 1000
    return np.insert(times, 6, times[:, :6].sum(axis=1), axis=1)


def main(arguments: argparse.Namespace) -> None:
    print("| d | variant | channels on | " + " | ".join((*KINDS[:6], "all products", *KINDS[6:])) + " |\n|---" + "|---" * 11 + "|")
    with tempfile.TemporaryDirectory() as name:
        program = build_program(Path(name))
        for dim in arguments.dims:
            case = make_case(Path(name), dim, arguments.heads)
            for variant in arguments.variants:
                times = measure(program, variant, case, arguments.rounds)
                for share, row in zip(SHARES, times, strict=True):
                    cells = [f"{us:.2f}" for us in row]
                    for at in (6, 7) if share < 1 else ():
                        cells[at] += f" ({row[at] / times[0, at]:.2f} x)"
                    print(f"| {dim} | {variant} | {share:.1%} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--heads", type=int, default=2)
    supported = [variant.name for variant in variants() if variant.supported and variant.name != "scalar"]
    parser.add_argument("--variants", nargs="+", default=supported)
    parser.add_argument("--rounds", type=int, default=300)
    main(parser.parse_args())
