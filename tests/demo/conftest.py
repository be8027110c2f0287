"""One tiny demo run for the tests of this folder."""

import pytest

from chordkit.data import synthesize
from chordkit.demo import DemoOptions, DemoResult, run
from chordkit.export.targets import find_target
from chordkit.runtime_bench.results import Settings


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    """One epoch of everything, on synthetic data of 130 items."""
    folder = tmp_path_factory.mktemp("demo")
    synthesize(3, users=120, items=130, mean_length=15, max_length=30).save(folder / "data.safetensors")
    options = DemoOptions(
        out=folder / "out",
        data=str(folder / "data.safetensors"),
        targets=tuple(map(find_target, ("litert", "onnx", "native"))),
        users=3,
        epochs=1,
        hypernetwork_epochs=1,
        histories=50,
        bench=Settings(rounds=5, block_ms=1, processes=0),
    )
    return run(options)
