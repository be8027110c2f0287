"""``chordkit bench import``: results of the runtimes' own tools in one table, as they are."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from chordkit.cli.bench_import import import_
from chordkit.errors import DeviceError

BENCHMARK_MODEL = """\
INFO: Graph: [/data/local/tmp/shop[1].tflite]
INFO: count=1900 first=521 curr=497 min=490 max=686 avg=507.432 std=16 p5=496 median=505 p95=520
INFO: Inference timings in us: Init: 1195, First inference: 871, Warmup (avg): 581.4, Inference (avg): 507.432
"""
EXECUTOR_RUNNER = "I executor_runner.cpp:652] Model executed successfully 4 time(s) in 2.400000 ms.\n"


@pytest.fixture
def results(tmp_path: Path) -> list[str]:
    """Files of two tools, one with brackets in its name, which are no markup."""
    texts = {"litert[bold].txt": BENCHMARK_MODEL, "executorch.txt": EXECUTOR_RUNNER}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return [str(tmp_path / name) for name in texts]


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(import_)
    return CliRunner().invoke(app, [*arguments])


def test_the_table_has_a_row_a_file_and_says_that_inputs_are_random_and_nothing_was_checked(results: list[str]) -> None:
    done = run(*results)
    assert done.exit_code == 0, done.output
    head, first, second = [[cell.strip() for cell in line.split(mark)[1:-1]] for line, mark in _lines(done.stdout)]
    assert head[:5] == ["file", "tool", "model", "n", "init us"] and head[-2:] == ["random inputs", "outputs checked"]
    told = ["benchmark_model", "shop[1].tflite", "1,900", "1,195.0", "871.0", "490.0", "507.4", "505.0", "520.0", "yes", "no"]
    assert first == [results[0], *told]
    assert second == [results[1], "executor_runner", "", "4", "", "", "", "600.0", "", "", "yes", "no"]


def _lines(table: str) -> list[tuple[str, str]]:
    return [(line, mark) for line in table.splitlines() for mark in "┃│" if line.startswith(mark)]


def test_json_has_the_fields_of_the_schema_and_the_file(results: list[str]) -> None:
    done = run(*results, "--json")
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)["results"]
    assert first["file"] == results[0] and first["tool"] == "benchmark_model" and first["p95_us"] == 520 and first["n"] == 1900
    assert second["mean_us"] == pytest.approx(600) and second["p50_us"] is None
    assert all(each["random_inputs"] and not each["checked"] for each in (first, second))


def test_what_is_no_result_is_refused_by_its_name(results: list[str], tmp_path: Path) -> None:
    wrong = tmp_path / "notes.txt"
    wrong.write_text("hello")
    done = run(results[0], str(wrong))
    assert isinstance(done.exception, DeviceError) and str(done.exception).startswith(f"{wrong}: ")
    assert not done.stdout
