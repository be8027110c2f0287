"""How a process of this machine makes a runner, named in a :class:`RunnerSpec`; a fresh one pays for its own runtime and no other's."""

from pathlib import Path

import numpy as np

from chordkit.export.targets import EagerRunner, Runner, all_targets, load_runner
from chordkit.quantization import MasterWeights

all_targets()  # found before anything is timed: what that takes is no artifact's


def artifact_runner(
    target: str, path: str, strategy: str | None, candidates: int, user: str | None = None, master: str | None = None
) -> Runner:
    """Load an artifact on its runtime, one thread, from its file, those of its strategy, of the master that it is called with, and of its
    user's numbers, float32."""
    wire, weights = (None if file is None else Path(file).read_bytes() for file in (strategy, master))
    runner = load_runner(target, Path(path).read_bytes(), strategy=wire, candidates=candidates, threads=1, master=weights)
    return runner if user is None else runner.for_user(np.fromfile(user, np.float32))


def eager_runner(master: str, candidates: int, user: str | None = None) -> Runner:
    """The PyTorch reference, int8 weights dequantised to FP32, from the file of the master and one of a user's numbers, float32."""
    from chordkit.backbones import from_master

    backbone = from_master(MasterWeights.load(master))
    if user is None:
        return EagerRunner(backbone, threads=1)
    return EagerRunner(backbone, threads=1, candidates=candidates, user_vector=True).for_user(np.fromfile(user, np.float32))
