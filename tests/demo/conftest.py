"""One tiny demo run for the tests of this folder, also where several processes test."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from chordkit import files
from chordkit.data import synthesize
from chordkit.demo import DemoOptions, DemoResult, run
from chordkit.export.targets import find_target
from chordkit.report import Report
from chordkit.runtime_bench.results import Settings

PLACES = [field.name for field in fields(DemoResult) if field.name != "report"]


def run_demo(folder: Path) -> DemoResult:
    """One epoch of everything, on synthetic data of 130 items."""
    folder.mkdir(exist_ok=True)
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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    """The run, by the process that asks first; others wait, and have what it gave back from a file of its own."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    given = folder / "given"
    with files.alone(folder):
        if not given.exists():
            result = run_demo(folder)
            lines = [result.report.model_dump_json(), *(str(getattr(result, name)) for name in PLACES)]
            given.write_text("\n".join(lines))
        report, *places = given.read_text().split("\n")
    return DemoResult(Report.model_validate_json(report), **dict(zip(PLACES, map(Path, places), strict=True)))
