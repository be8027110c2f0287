"""Batches that are shared out: threads that stay, end with their engine, and are not missed in a forked process."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from chordkit.kernels import Engine, available
from chordkit.quantization import MasterWeights

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

TASKS = Path("/proc/self/task")
FORKED = """
import os, sys
import numpy as np
from chordkit.kernels import Engine
engine = Engine(open(sys.argv[1], "rb").read())
histories, candidates = np.arange(1, 41).reshape(8, 5) % 20 + 1, np.arange(1, 73).reshape(8, 9) % 20 + 1
before = engine.scores(histories, candidates, threads=3)
child = os.fork()
again = engine.scores(histories, candidates, threads=3)
same = np.array_equal(before, again) and np.array_equal(before, engine.scores(histories, candidates))
del engine
if child == 0:
    os._exit(0 if same else 1)
sys.exit(0 if same and os.waitpid(child, 0)[1] == 0 else 1)
"""


def batch(users: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 21, (users, 5)).astype(np.int32), rng.integers(1, 21, (users, 9)).astype(np.int32)


@pytest.mark.skipif(not TASKS.is_dir(), reason="the system does not tell threads")
def test_threads_stay_for_the_next_batch_and_end_with_the_engine(small_masters: dict[str, MasterWeights]) -> None:
    engine = Engine(small_masters["caser"].to_bytes())
    before, found = len(os.listdir(TASKS)), []
    for threads in (1, 3, 3, 2, 100):
        engine.scores(*batch(8), threads=threads)
        found.append(len(os.listdir(TASKS)) - before)
    assert found == [0, 2, 2, 2, 7]  # no more than there are users
    del engine
    gc.collect()
    assert len(os.listdir(TASKS)) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_shares_out_its_batches_too(small_masters: dict[str, MasterWeights], tmp_path: Path) -> None:

    (tmp_path / "master.chrm").write_bytes(small_masters["caser"].to_bytes())
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "master.chrm")], check=True, timeout=60)


def test_batches_of_several_threads_at_once_are_those_of_one_after_the_other(small_masters: dict[str, MasterWeights]) -> None:
    engine = Engine(small_masters["sasrec"].to_bytes())
    expected = [engine.scores(*batch(11, seed)) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        given = pool.map(lambda turn: engine.scores(*batch(11, turn % 4), threads=2 + turn % 2), range(80))
        for turn, scores in enumerate(given):
            np.testing.assert_array_equal(scores, expected[turn % 4])
