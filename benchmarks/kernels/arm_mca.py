"""Estimate the inner loops of the Arm kernels with llvm-mca, from the objects as they are built.

    python benchmarks/kernels/arm_mca.py

Compiles kernels/libchord/ukernels/arm with clang-19, takes the innermost loops from the disassembly and asks llvm-mca-19 what one pass
costs on a cortex-a55, neoverse-n1 (stands for cortex-a76) and neoverse-v1 (cortex-x1), the caches always hit. Prints a Markdown
table. Needs clang-19, llvm-objdump-19, llvm-mca-19 and the headers of libc6-dev-arm64-cross.
"""

import argparse
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chordkit.kernels import build as libchord

ARM = libchord.LIBCHORD / "ukernels" / "arm"
CPUS = ("cortex-a55", "neoverse-n1", "neoverse-v1")
FLAGS = (*libchord.flags(), "-isystem", "/usr/aarch64-linux-gnu/include")
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(\S.*?)\s*(?://.*)?$")
BRANCH = re.compile(r"^(?:b\.\w+|b|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\w+,)\s+0x([0-9a-f]+)\b")


@dataclass(frozen=True)
class Loop:
    """A loop to look for: the one in ``symbol`` of ``source`` that holds the most of ``mnemonic``; ``work`` is per instruction."""

    title: str
    source: str
    symbol: str
    mnemonic: str
    work: int
    skip: str = "none"
    cpus: tuple[str, ...] = CPUS


LOOPS = (
    Loop("int8, i8mm, d = 64 (4 rows x 8 channels x 64)", "i8mm.c", "chord_gemm_qa8_c8__i8mm", "smmla", 32, cpus=("neoverse-v1",)),
    Loop("int8, dotprod, d = 64 (4 x 8 x 64)", "dotprod.c", "chord_gemm_qa8_c8__dotprod", "sdot", 16),
    Loop("int8, NEON, depths above 64 (4 x 4 x 16)", "neon.c", "chord_gemm_qa8_c8__neon", "sadalp", 16, skip="saddlp"),
    Loop("packed int4, dotprod (4 x 8 x 16)", "dotprod.c", "chord_gemm_qa8_c4__dotprod", "sdot", 16),
    Loop("packed int2, dotprod (4 x 8 x 16)", "dotprod.c", "chord_gemm_qa8_c2__dotprod", "sdot", 16),
    Loop("softmax (16 scores)", "attend.c", "chord_softmax_f32_qa8__neon", "shl", 0),
    Loop("LayerNorm and quantisation, a row of 64", "rows.c", "chord_norm_f32__neon", "fmla", 0),
)


def disassemble(source: Path, folder: Path) -> dict[str, list[tuple[int, str]]]:
    """Instructions of every function: (address, text)."""
    target = folder / (source.stem + ".o")
    subprocess.run(["clang-19", "--target=aarch64-linux-gnu", *FLAGS, "-c", str(source), "-o", str(target)], check=True)
    command = ["llvm-objdump-19", "-d", "--no-show-raw-insn", "--mattr=+dotprod,+i8mm", str(target)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    functions: dict[str, list[tuple[int, str]]] = {}
    current: list[tuple[int, str]] = []
    for line in text.splitlines():
        if header := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
            current = functions.setdefault(header.group(1), [])
        elif found := INSTRUCTION.match(line):
            current.append((int(found.group(1), 16), re.sub(r"\s+", " ", found.group(2)).split(" <")[0]))
    return functions


def loops(code: list[tuple[int, str]]) -> list[list[str]]:
    """Bodies of all innermost loops: from the target of a backward branch to the branch, with no such branch in between."""
    places = {address: index for index, (address, _) in enumerate(code)}
    spans: list[tuple[int, int]] = []
    for index, (address, text) in enumerate(code):
        branch = BRANCH.match(text)
        if branch and int(branch.group(1), 16) < address and int(branch.group(1), 16) in places:
            spans.append((places[int(branch.group(1), 16)], index))
    inner = [span for span in spans if not any(other != span and span[0] <= other[0] and other[1] <= span[1] for other in spans)]
    return [[text for _, text in code[first : last + 1]] for first, last in inner]


def executed(body: list[str], mnemonic: str) -> int:
    """How many instructions of a loop are ``mnemonic``, whatever the width."""
    return sum(text.split()[0].removesuffix("2") == mnemonic for text in body)


def estimate(body: list[str], cpu: str) -> float:
    """Cycles of one pass of the loop, averaged over 200."""
    # Branches leave the straight line that llvm-mca looks at; in a steady loop they are predicted and cost their slot only.
    assembly = "\n".join(re.sub(BRANCH, "nop", text) if BRANCH.match(text) else text for text in body)
    command = ["llvm-mca-19", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm", "-iterations=200", "-instruction-info=0"]
    command += ["-resource-pressure=0"]
    answer = subprocess.run(command, input=assembly, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Total Cycles:\s+(\d+)", answer)
    if found is None:
        raise RuntimeError(f"llvm-mca gave no cycles: {answer[:200]}")
    return int(found.group(1)) / 200


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| inner loop | instructions | multiply-adds | " + " | ".join(f"{cpu}: cycles (per cycle)" for cpu in CPUS) + " |")
    print("|---|---|---|" + "---|" * len(CPUS))
    with tempfile.TemporaryDirectory() as name:
        objects = {source: disassemble(ARM / source, Path(name)) for source in {loop.source for loop in LOOPS}}
    for loop in LOOPS:
        bodies = loops(objects[loop.source][loop.symbol])
        body = max((texts for texts in bodies if not executed(texts, loop.skip)), key=lambda texts: executed(texts, loop.mnemonic))
        work = loop.work * executed(body, loop.mnemonic)
        cells = []
        for cpu in CPUS:
            cycles = estimate(body, cpu) if cpu in loop.cpus else 0.0
            cells.append("lacks it" if not cycles else f"{cycles:.0f} ({work / cycles:.1f})" if work else f"{cycles:.0f}")
        print(f"| {loop.title} | {len(body)} | {work or ''} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
