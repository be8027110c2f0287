"""Count the instructions of a rerank in LiteRT's aarch64 wheel, against which the native engine is compared on arm64.

    python benchmarks/kernels/arm_litert.py write FOLDER        # on the host: rerank-*.tflite, same model as arm_instructions.py
    python benchmarks/kernels/arm_litert.py count FOLDER ROOTFS SITE

ROOTFS is a Debian arm64 tree with python3 (``mmdebstrap --variant=extract --architectures=arm64
--include=python3-minimal,libpython3-stdlib,libstdc++6,libgcc-s1,zlib1g bookworm ROOTFS``), SITE a folder with the unpacked
aarch64 wheels of ai-edge-litert, numpy, flatbuffers and typing-extensions. ROOTFS/proc/cpuinfo must hold what an arm64 kernel
would say, and ROOTFS/sys/devices/system/cpu/{present,possible} a 0: the wheel crashes on those of an x86 host.

The files are written with the graph of the exporter: the last block for the last position only. One thread; XNNPACK as the
wheel switches it on. The count of an inference is the difference of two runs that differ in their repetitions only.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from arm_instructions import QEMU, SHARES, build_plugin

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
    """Export the model in float32, in int8, and at 3.0 bits with 8-bit activations."""
    import numpy as np
    import torch

    from chordkit.backbones import SASRecConfig, build, make_master
    from chordkit.export.lowering import ArtifactSpec, lower
    from chordkit.export.targets import Precision, Target

    torch.manual_seed(5)
    backbone = build(SASRecConfig(items=3707, dim=64, max_length=50, blocks=2, heads=1, norm_first=True)).eval()
    master = make_master(backbone)
    channels = master.channel_table.channels
    widths = np.random.default_rng(1).choice(list(SHARES), channels, p=list(SHARES.values())).astype(np.uint8)
    files = {
        "fp32": lower(ArtifactSpec(Target.LITERT, Precision.FP32), backbone),
        "int8": lower(ArtifactSpec(Target.LITERT, Precision.INT8, activations="int8"), (master, np.full(channels, 8, np.uint8))),
        "strategy": lower(ArtifactSpec(Target.LITERT, Precision.STRATEGY, activations="int8"), (master, widths)),
    }
    for name, data in files.items():
        (folder / f"rerank-{name}.tflite").write_bytes(data)


def count(plugin: Path, model: Path, rootfs: Path, site: Path, cpu: str) -> float:
    """Instructions of one inference on an emulated CPU."""
    totals = []
    with tempfile.TemporaryDirectory() as name:
        program, out = Path(name) / "run.py", Path(name) / "counts"
        program.write_text(PROGRAM, encoding="utf-8")
        for repetitions in (20, 60):
            command = [QEMU, "-L", str(rootfs), "-cpu", cpu, "-E", f"PYTHONHOME={rootfs}/usr", "-E", f"PYTHONPATH={site}", "-E"]
            command += ["PYTHONHASHSEED=0", "-plugin", f"{plugin},out={out}", str(rootfs / "usr/bin/python3.11"), str(program), str(model)]
            subprocess.run([*command, str(repetitions)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            totals.append(sum(int(line.split()[0]) for line in out.read_text(encoding="utf-8").splitlines()))
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
    with tempfile.TemporaryDirectory() as name:
        plugin = build_plugin(Path(name))
        for model in sorted(options.folder.glob("rerank-*.tflite")):
            for cpu in ("cortex-a53", "cortex-a76", "max"):
                print(f"{model.name} {cpu}: {count(plugin, model, options.rootfs, options.site, cpu):,.0f} instructions", flush=True)


if __name__ == "__main__":
    main()
