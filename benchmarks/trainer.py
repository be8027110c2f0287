"""What a step of training an adapter costs with ExecuTorch: CPU time here, executed instructions and parity on arm64.

    python benchmarks/trainer.py
    python benchmarks/trainer.py --aarch64 WHEEL        # the unpacked aarch64 wheel of executorch, under qemu-user

Times are CPU time of one thread, of the file (with the wheel's kernels), of the same file lowered to XNNPACK where that trains right, of
torch and of the closed form in numpy (float32). Under qemu the C++ program beside this file trains 20 steps; its parameters are held
against the closed form in float64. Instructions are the difference of two runs, and say nothing about caches or the width of a core.
Needs qemu-user and g++-aarch64-linux-gnu for the latter.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from chordkit.coda.learning import Exam, train
from chordkit.export.targets.executorch import quiet
from chordkit.export.trainer import STEPS, TrainerProgram, TrainerShape, judge_trainer, make_trainer
from chordkit.export.trainer.cases import Case, cases
from chordkit.export.trainer.graph import AdapterLoss, EagerTrainer
from chordkit.export.trainer.program import edge_program
from chordkit.export.trainer.shape import PARAMETERS
from chordkit.kernels.executorch.library import BENCH_LIBRARIES, compiler, executorch_folder
from chordkit.runtime_bench.runners.profile import QEMU, counted, plugin_library

SHAPES = (TrainerShape(64, 100, 356), TrainerShape(64, 300, 556), TrainerShape(128, 300, 556))
CPUS = ("cortex-a53", "cortex-a76", "max")
SOURCE = Path(__file__).with_suffix(".cc")


def step_ms(course: Iterable[object]) -> str:
    """Median and least CPU milliseconds of a step."""
    times = [time.process_time()]
    times.extend(time.process_time() for _ in course)
    # The first of them loads the file.
    steps = [1e3 * (after - before) for before, after in itertools.pairwise(times[1:])]
    return f"{statistics.median(steps):.2f} ms (least {min(steps):.2f})"


def by_xnnpack(shape: TrainerShape) -> bytes:
    """The same loss with all that XNNPACK takes lowered to it."""
    with quiet():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return bytes(edge_program(AdapterLoss(shape)).to_backend(XnnpackPartitioner()).to_executorch().buffer)


def measure_here(shape: TrainerShape, data: bytes) -> None:
    """Print what a step takes on this machine."""
    case = next(cases(shape, 2 * STEPS))
    batch, exam = case.batch(shape), Exam(case.head, case.lessons, case.candidates)
    print(f"  inputs {sum(each.nbytes for each in batch.inputs):,} bytes")
    print(f"  file            {step_ms(TrainerProgram(data).course(batch, case.adapter, case.steps))}")
    lowered = by_xnnpack(shape)
    right = "passes the gate" if judge_trainer(TrainerProgram(lowered)).passed else "WRONG"
    print(f"  all of XNNPACK  {step_ms(TrainerProgram(lowered).course(batch, case.adapter, case.steps))}, {len(lowered):,} bytes, {right}")
    print(f"  torch           {step_ms(EagerTrainer(AdapterLoss(shape)).course(batch, case.adapter, case.steps))}")
    begun = time.process_time()
    train(exam, case.weights, case.adapter, case.steps)
    print(f"  closed form     {1e3 * (time.process_time() - begun) / case.steps.count:.2f} ms")


def measure_arm(shape: TrainerShape, data: bytes, folder: Path) -> None:
    """Print how the C++ program trains on emulated arm64 processors."""
    (folder / "trainer.pte").write_bytes(data)
    for case in cases(shape, STEPS):
        batch = case.batch(shape)
        begun = batch.parameters(case.adapter)
        (folder / case.name).write_bytes(b"".join(each.tobytes() for each in (*batch.inputs, *(begun[name] for name in PARAMETERS))))
        for cpu in CPUS:
            run = subprocess.run([QEMU, "-cpu", cpu, *command(shape, case, folder, STEPS)], capture_output=True, text=True)
            if run.returncode:
                raise SystemExit(f"{cpu}: {run.stderr}")
            found, parameters = np.fromfile(folder / "out", np.float32), {}
            for name, size in shape.parameters.items():
                parameters[name], found = found[: np.prod(size)].reshape(size), found[np.prod(size) :]
            exact, _ = case.closed_form(np.float64, [STEPS])[STEPS]
            apart = np.linalg.norm(batch.values(parameters) - exact)
            print(f"  {cpu}, {case.name}: after {STEPS} steps {apart:.2e} from the closed form; last loss {run.stdout.split()[-1]}")


def count_arm(shape: TrainerShape, folder: Path) -> None:
    """Print what a step executes of the case that fills the trainer."""
    case = next(cases(shape, STEPS))
    few, many = (
        sum(counted(plugin_library(), command(shape, case, folder, steps), "cortex-a76", "train_step").by_function().values())
        for steps in (2, 4)
    )
    print(f"  cortex-a76: {(many - few) / 2:,.0f} instructions a step")


def command(shape: TrainerShape, case: Case, folder: Path, steps: int) -> list[str]:
    """The C++ program's command line."""
    sizes = map(str, (shape.dim, shape.lessons, shape.candidates, steps, repr(case.steps.rate), case.steps.decay))
    return [str(folder / "trainer"), str(folder / "trainer.pte"), str(folder / case.name), str(folder / "out"), *sizes]


def compile_program(wheel: Path, folder: Path) -> None:
    """Build the C++ program for arm64, against the headers that are installed here and the wheel's libraries."""
    include, libraries = executorch_folder() / "include", wheel / "executorch" / "lib"
    named = [f"-l{name}" for name in BENCH_LIBRARIES]
    flags = ["-O2", "-std=c++17", "-pthread", "-DC10_USING_CUSTOM_GENERATED_MACROS", "-isystem", str(include)]
    flags += ["-isystem", str(include / "executorch" / "runtime" / "core" / "portable_type" / "c10")]
    link = [f"-L{libraries}", f"-Wl,-rpath-link,{libraries}", "-Wl,--no-as-needed", *named]
    subprocess.run([*compiler("aarch64"), *flags, str(SOURCE), "-o", str(folder / "trainer"), *link], check=True)
    os.environ["QEMU_LD_PREFIX"] = "/usr/aarch64-linux-gnu"
    os.environ["QEMU_SET_ENV"] = f"LD_LIBRARY_PATH={libraries}:/usr/aarch64-linux-gnu/lib"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aarch64", type=Path, metavar="WHEEL", help="folder of an unpacked aarch64 wheel of executorch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with quiet():
        from executorch.extension.pybindings import portable_lib

        portable_lib._unsafe_reset_threadpool(1)
    with tempfile.TemporaryDirectory() as name:
        if options.aarch64 is not None:
            compile_program(options.aarch64.absolute(), Path(name))
        for shape in SHAPES:
            data, report = make_trainer(shape)
            with quiet():
                plan = edge_program(AdapterLoss(shape)).to_executorch().executorch_program.execution_plan
            (forward,) = (each for each in plan if each.name == "forward")
            sizes = f"d = {shape.dim}, {shape.lessons} lessons, {shape.candidates} candidates"
            print(f"{sizes}: {len(data):,} bytes, memory {sum(forward.non_const_buffer_sizes):,}")
            for each in report.cases:
                error = f"error {each.error:.2e} of {each.allowed:.2e}"
                print(f"  gate, {each.name}: moved {each.moved:.3g}, {error}, from torch {each.from_torch:.2e}")
            measure_here(shape, data)
            if options.aarch64 is not None:
                measure_arm(shape, data, Path(name))
                count_arm(shape, Path(name))


if __name__ == "__main__":
    main()
