"""What a difference between bundles saves, and what it takes to apply one: the tables of docs/delta.md.

    python benchmarks/delta.py
    python benchmarks/delta.py --targets native,litert,onnx --vectors 16
    python benchmarks/delta.py --rates 0.03,0.1,0.3,1

Bundles are made as benchmarks/delta_material.py says. Beside the difference stand the whole file as it is, deflated and by zstd, zstd with
the old bundle as its dictionary, and, where the packages are installed, bsdiff4 (bzip2 inside) and detools (LZMA inside); none of
these proves anything of what comes out. Applying is measured in time of the processor; in C, where valgrind is there, in instructions too.
"""

import argparse
import copy
import importlib
import io
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import delta_material
import zstandard

from chordkit.backbones import default_config, make_master
from chordkit.data import load_named
from chordkit.export.bundle import apply_difference, difference
from chordkit.kernels import build as libchord
from chordkit.provenance import checkout
from chordkit.quantization import MasterWeights
from chordkit.training import default_options
from scripts.android.tools import tools

ROOT = Path(__file__).parents[1]
CHANGES = {"AB": "a night of training", "AC": "5 % more items", "BC": "another night's, with the items", "AD": "trained again"}
JAVA = ROOT / "android_demo" / "chord-android" / "src" / "main" / "java"


def _patched(old: bytes, new: bytes) -> int:
    """zstd --patch-from."""
    window = max(len(old) + len(new), 1 << 20).bit_length()
    options = zstandard.ZstdCompressionParameters.from_level(19, window_log=window, enable_ldm=True)
    known = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return len(zstandard.ZstdCompressor(dict_data=known, compression_params=options).compress(new))


def _bsdiff(old: bytes, new: bytes) -> int | None:
    try:
        return len(importlib.import_module("bsdiff4").diff(old, new))
    except ImportError:
        return None


def _detools(old: bytes, new: bytes) -> int | None:
    try:
        detools = importlib.import_module("detools")
    except ImportError:
        return None
    patch = io.BytesIO()
    detools.create_patch(io.BytesIO(old), io.BytesIO(new), patch, compression="lzma")
    return len(patch.getvalue())


WAYS: dict[str, Callable[[bytes, bytes], int | None]] = {
    "whole": lambda old, new: len(new),
    "zlib -9": lambda old, new: len(zlib.compress(new, 9)),
    "zstd -19": lambda old, new: len(zstandard.ZstdCompressor(19).compress(new)),
    "zstd with OLD": _patched,
    "bsdiff4": _bsdiff,
    "detools": _detools,
    "difference": lambda old, new: len(difference(old, new)),
}


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def sizes(pairs: dict[str, tuple[bytes, bytes]]) -> None:
    """A table of bytes, one row a pair; the last cell has the share of the whole."""
    print(_row(["", *WAYS]))
    print(_row(["---"] * (len(WAYS) + 1)))
    for name, (old, new) in pairs.items():
        found = [way(old, new) for way in WAYS.values()]
        cells = ["" if size is None else f"{size:,}" for size in found]
        print(_row([name, *cells[:-1], f"{cells[-1]} ({found[-1] / len(new):.1%})"]), flush=True)


def _seconds(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        begun = time.process_time()
        call()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def applying(old: Path, new: Path, folder: Path) -> None:
    """What it takes in Python, C and Java."""
    base, wanted = old.read_bytes(), new.read_bytes()
    data, patch = difference(base, wanted), folder / "patch.chordd"
    patch.write_bytes(data)
    print(f"write, Python: {1000 * _seconds(lambda: difference(base, wanted), 5):.0f} ms")
    print(f"apply, Python: {1000 * _seconds(lambda: apply_difference(base, data), 20):.1f} ms")
    delta, tool = libchord.LIBCHORD / "delta", folder / "chord_delta"
    sources = [*delta.glob("*.c"), libchord.LIBCHORD / "src" / "checksum.c", *delta.glob("adapters/*.c"), *delta.glob("tool/*.c")]
    subprocess.run(["gcc", *libchord.flags(), *map(str, sources), "-lz", "-o", str(tool)], check=True)
    command = [str(tool), str(old), str(patch), str(folder / "made.chord")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if (folder / "made.chord").read_bytes() != wanted:
        raise SystemExit("C made another file")
    if shutil.which("valgrind"):
        counted = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind", *command]
        told = subprocess.run(counted, check=True, capture_output=True, text=True).stderr
        count = next(line for line in told.splitlines() if "Collected" in line).split()[-1]
        print(f"apply, C, the whole program, x86-64: {int(count):,} instructions")
        told = subprocess.run(["callgrind_annotate", f"{folder}/callgrind"], check=True, capture_output=True, text=True).stdout
        print("\n".join(line[:100] for line in told.splitlines() if "%)" in line and "PROGRAM" not in line)[:700])
    if shutil.which("javac"):
        program = Path(__file__).parent / "delta_apply" / "ApplyDelta.java"
        annotations = tools().jar("jsr305")
        compiler = ["javac", "-sourcepath", str(JAVA), "-cp", str(annotations), "-d", str(folder / "classes"), str(program)]
        subprocess.run(compiler, check=True, capture_output=True)
        command = ["java", "-cp", str(folder / "classes"), "ApplyDelta", str(old), str(patch), str(folder / "made-by-java.chord")]
        first, later = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        print(f"apply, Java (JVM): first {first} ms, later {later} ms")


def nights(data: str, epochs: int, rates: list[float], folder: Path) -> None:
    """Masters alone, after nights of training at several rates."""
    told, options = delta_material.histories(load_named(data), 0), default_options("sasrec", epochs=epochs)
    first = delta_material.trained(
        folder / f"{data}-{epochs}-first.safetensors", told.before, default_config("sasrec", told.before.items), options
    )
    before: MasterWeights = make_master(first)
    pairs = {}
    for rate in rates:
        after = make_master(delta_material.one_night(copy.deepcopy(first), told, options, rate))
        pairs[f"rate x {rate:g}"] = before.to_bytes(), after.to_bytes()
    sizes(pairs)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--targets", default="native")
    parser.add_argument("--vectors", type=int, default=64, help="test vectors in each bundle")
    parser.add_argument("--rates", help="instead of bundles: masters after nights at these shares of the learning rate")
    parser.add_argument("--folder", type=Path, default=Path("build/delta"))
    arguments = parser.parse_args()
    commit = checkout()[0] or "unknown"
    print(f"{platform.machine()}, Python {platform.python_version()}, zlib {zlib.ZLIB_RUNTIME_VERSION}, commit {commit[:12]}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.rates:
        nights(arguments.data, arguments.epochs, [float(rate) for rate in arguments.rates.split(",")], arguments.folder)
        return
    name = f"{arguments.data}-{arguments.epochs}-{arguments.targets.replace(',', '+')}-{arguments.vectors}"
    paths = delta_material.make(arguments.folder / name, arguments.data, arguments.epochs, arguments.targets.split(","), arguments.vectors)
    sizes({said: (paths[pair[0]].read_bytes(), paths[pair[1]].read_bytes()) for pair, said in CHANGES.items()})
    with tempfile.TemporaryDirectory() as work:
        applying(paths["A"], paths["B"], Path(work))


if __name__ == "__main__":
    main()
