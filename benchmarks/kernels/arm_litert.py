"""Count the instructions of a rerank in LiteRT's aarch64 wheel, against which the native engine is compared on arm64.

    python benchmarks/kernels/arm_litert.py write FOLDER        # on the host: rerank-*.tflite, same model as arm_instructions.py
    python benchmarks/kernels/arm_litert.py count FOLDER ROOTFS SITE

ROOTFS is a Debian arm64 tree with python3 (``mmdebstrap --variant=extract --architectures=arm64
--include=python3-minimal,libpython3-stdlib,libstdc++6,libgcc-s1,zlib1g bookworm ROOTFS``), SITE a folder with the unpacked
aarch64 wheels of ai-edge-litert, numpy, flatbuffers and typing-extensions. ``count`` writes ROOTFS/proc/cpuinfo
as an arm64 kernel would, and ROOTFS/sys/devices/system/cpu: the wheel crashes on those of an x86 host.

The files are written with the graph of the exporter: the last block for the last position only. One thread; XNNPACK as the
wheel switches it on. The count of an inference is the difference of two runs that differ in their repetitions only.
"""

import argparse
import tempfile
from pathlib import Path

from arm_instructions import SHARES

from chordkit.runtime_bench.runners.profile import counted, plugin_library

CPUS = {
    "cortex-a53": ("cortex-a53", "0xd03", "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"),
    "cortex-a76": (
        "cortex-a76",
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
    "i8mm": (
        "max,sve=off,sme=off",
        "0xd0b",
        "fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp i8mm bf16",
    ),
}
"""Name, emulated CPU, part number and features. The last one is what a phone core with i8mm offers to 128-bit kernels: without it,
qemu's SVE vectors of 2048 bits and SME, which no phone has, are taken and make counts meaningless."""

PROGRAM = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
rng = np.random.default_rng(1)
for detail in interpreter.get_input_details():
    interpreter.set_tensor(detail["index"], rng.integers(1, 3708, detail["shape"]).astype(detail["dtype"]))
for _ in range(int(sys.argv[2])):
    interpreter.invoke()
"""


def write(folder: Path) -> None:
    """Export the model in float32, in int8, and at 3.0 bits in both layouts, the quantised ones with 8-bit activations."""
    import numpy as np
    import torch

    from chordkit.backbones import SASRecConfig, build, make_master
    from chordkit.export.artifact import ArtifactSpec, Precision
    from chordkit.export.targets import lower

    torch.manual_seed(5)
    backbone = build(SASRecConfig(items=3707, dim=64, max_length=50, blocks=2, heads=1, norm_first=True)).eval()
    master = make_master(backbone)
    channels = master.channel_table.channels
    widths = np.random.default_rng(1).choice(list(SHARES), channels, p=list(SHARES.values())).astype(np.uint8)
    files = {
        "fp32": lower(ArtifactSpec("litert", Precision.FP32), backbone),
        "int8": lower(ArtifactSpec("litert", Precision.INT8, activations="int8"), (master, np.full(channels, 8, np.uint8))),
        "strategy": lower(ArtifactSpec("litert", Precision.STRATEGY, activations="int8"), (master, widths)),
        "strategy-speed": lower(ArtifactSpec("litert", Precision.STRATEGY, activations="int8", layout="speed"), (master, widths)),
    }
    for name, data in files.items():
        (folder / f"rerank-{name}.tflite").write_bytes(data)


def describe_cpu(rootfs: Path, part: str, features: str) -> None:
    """Give the tree the files from which the wheel's cpuinfo library learns about the CPU."""
    text = f"processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\n"
    (rootfs / "proc").mkdir(exist_ok=True)
    (rootfs / "proc" / "cpuinfo").write_text(text + "CPU revision\t: 1\n\n", encoding="utf-8")
    system = rootfs / "sys" / "devices" / "system" / "cpu"
    system.mkdir(parents=True, exist_ok=True)
    for name in ("present", "possible"):
        (system / name).write_text("0\n", encoding="utf-8")


def count(model: Path, rootfs: Path, site: Path, cpu: str) -> float:
    """Instructions of one inference on an emulated CPU."""
    totals = []
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "run.py"
        program.write_text(PROGRAM, encoding="utf-8")
        for repetitions in (20, 60):
            settings = (f"PYTHONHOME={rootfs}/usr", f"PYTHONPATH={site}", "PYTHONHASHSEED=0")
            options = ["-L", str(rootfs), *(word for setting in settings for word in ("-E", setting))]
            command = [str(rootfs / "usr/bin/python3.11"), str(program), str(model), str(repetitions)]
            totals.append(counted(plugin_library(), command, cpu, None, *options).parts.total())
    return (totals[1] - totals[0]) / 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("write").add_argument("folder", type=Path)
    counting = verbs.add_parser("count")
    for argument in ("folder", "rootfs", "site"):
        counting.add_argument(argument, type=Path)
    options = parser.parse_args()
    if options.verb == "write":
        write(options.folder)
        return
    for model in sorted(options.folder.glob("rerank-*.tflite")):
        for title, (cpu, part, features) in CPUS.items():
            describe_cpu(options.rootfs, part, features)
            print(f"{model.name} {title}: {count(model, options.rootfs, options.site, cpu):,.0f} instructions", flush=True)


if __name__ == "__main__":
    main()
