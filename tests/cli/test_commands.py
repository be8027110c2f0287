"""Every verb does its work for real, and says so in JSON."""

import inspect
import io
import json
import re
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console
from typer.main import get_command

from chordkit import __version__
from chordkit.cli.main import app
from chordkit.cli.output import rows
from chordkit.data import Dataset
from chordkit.demo import DemoOptions, run
from chordkit.errors import MasterWarning
from chordkit.export.targets import find_target
from chordkit.runtime_bench.results import Settings

CHANNELS = 2 * 6 * 16


def _verbs() -> list[tuple[str, ...]]:
    found = []
    for name, each in get_command(app).commands.items():
        found += [(name, verb) for verb in each.commands] if hasattr(each, "commands") else [(name,)]
    return found


def test_the_commands_are_those_of_the_contract() -> None:
    assert {" ".join(verb) for verb in _verbs()} == {
        "data prepare", "data info", "train backbone", "train hypernetwork",
        "strategy make", "strategy show", "strategy diff", "strategy seal", "strategy open", "strategy pack", "strategy unpack",
        "import", "evaluate benefit", "evaluate accuracy", "evaluate flow", "export", "catalogue grow", "match build", "match query",
        "trainer make", "trainer check",
        "bundle make", "bundle verify", "bundle inspect", "bundle diff", "bundle apply", "bundle key", "recommend", "validate", "patch",
        "bench run", "bench compare", "bench history", "bench import", "config show",
        "devices list", "devices prepare", "serve run", "serve token",
        "release init", "release publish", "release promote", "release pause", "release resume", "release rollback", "release kill",
        "release refresh", "release rotate", "release status", "release log", "release watch", "report", "demo",
    }  # fmt: skip


def test_a_warning_about_a_master_is_one_line_and_no_failure(monkeypatch: pytest.MonkeyPatch, command) -> None:
    monkeypatch.setattr(
        sys.modules["chordkit.cli.main"], "app", lambda **_: warnings.warn("dim\n = 24\x1b[2J", MasterWarning, stacklevel=1)
    )
    outcome = command("train", "hypernetwork")
    assert (outcome.status, outcome.err) == (0, "chordkit: warning: dim = 24\\x1b[2J\n")


@pytest.mark.parametrize("columns", [80, 100, 160])
@pytest.mark.parametrize("verb", _verbs(), ids=" ".join)
def test_help_shows_an_example_that_the_command_would_parse(
    verb: tuple[str, ...], columns: int, command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    outcome = command(*verb, "--help")
    assert outcome.status == 0 and not outcome.err
    # Nothing is cut off, and no type is Python's.
    assert "…" not in outcome.out and "list[" not in outcome.out and max(map(len, outcome.out.splitlines())) <= columns
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", outcome.out).split())
    assert "--json" in text
    example = re.search(rf"Example: `?(chordkit {' '.join(verb)}\b.*)", text)
    assert example, text
    each = get_command(app)
    for name in verb:
        each = each.commands[name]
    known = {option for parameter in each.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"(?<=\s)--?[a-z][a-z0-9-]*", example.group(1))) <= known | {"--help", "-h"}


@pytest.mark.parametrize("verb", _verbs(), ids=" ".join)
def test_a_seed_is_taken_only_where_it_is_used(verb: tuple[str, ...]) -> None:
    each = get_command(app)
    for name in verb:
        each = each.commands[name]
    function = inspect.unwrap(each.callback)
    if "seed" in inspect.signature(function).parameters:
        assert re.search(r"\bseed\b", inspect.getsource(function).partition(") -> None:")[2])


def test_version_and_bare_help(command) -> None:
    assert command("--version").out == f"chordkit {__version__}\n"
    assert command("--help").out == command("-h").out != ""


def test_data_prepare_and_info_tell_the_same(project, command) -> None:
    prepared = project.outcomes["data prepare"].json
    assert (prepared["users"], prepared["items"]) == (120, 130)
    assert command("data", "info", project / "shop.safetensors", "--json").json.items() <= prepared.items()
    raw = command("data", "info", project / "clicks.csv", "--user", "uid", "--item", "sku", "--time", "ts", "--json").json
    assert raw["fingerprint"] == prepared["fingerprint"]


def test_training_reports_metrics_with_intervals(project) -> None:
    trained = project.outcomes["train backbone"].json
    test = trained["metrics"]["test"]["ndcg10"]
    assert test["low"] <= test["mean"] <= test["high"]
    hyper = project.outcomes["train hypernetwork"].json
    assert hyper["channels"] == CHANNELS and Path(hyper["fp32"]).exists() and hyper["window"] == 10


def test_times_that_order_nothing_are_told(command, tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    prepare = ("data", "prepare", raw, "--out", tmp_path / "x.safetensors")
    for times, told in (((7, 7, 7, 7), True), ((7, 8, 8, 9), False)):
        lines = [f"{user},{place},{time}" for user in range(20) for place, time in enumerate(times)]
        raw.write_text("\n".join(["user,item,time", *lines]))
        assert ("have the time of the one before: their order is that of the file" in command(*prepare).err) == told


def test_strategies_are_made_shown_and_compared(project, command) -> None:
    made = project.outcomes["strategy make"].json
    assert made["bytes"] == 24 + CHANNELS // 4 and made["average_bits"] == pytest.approx(3, rel=0.005)
    shown = command("strategy", "show", project / "u5.chrd", "--master", project / "m.chrm", "--json").json
    assert sum(map(len, shown["widths"].values())) == CHANNELS == shown["channels"]
    other = command("strategy", "show", project / "u6.chrd", "--master", project / "m.chrm", "--json").json
    changed = sum(a != b for name in shown["widths"] for a, b in zip(shown["widths"][name], other["widths"][name], strict=True))
    found = command("strategy", "diff", project / "u5.chrd", project / "u6.chrd", "--master", project / "m.chrm", "--json").json
    assert found["changed"] == changed > 0


def test_a_history_makes_the_strategy_of_the_user_who_has_it(project, command, tmp_path: Path) -> None:
    data = Dataset.load(project / "shop.safetensors")
    sequence = data.sequences[data.user_ids.index("5")]
    arguments = ("--hypernetwork", project / "h.safetensors", "--master", project / "m.chrm", "--out", tmp_path / "same.chrd")
    ids = " , ".join(data.item_ids[item] for item in sequence)
    for wanted in (
        ("--data", project / "shop.safetensors", "--history", f"gone, {ids}"),
        ("--indices", "--history", ",".join(map(str, sequence))),
    ):
        made = command("strategy", "make", *arguments, *wanted)
        assert made.status == 0 and (f"1 of {len(sequence) + 1} items of the history" in made.err) == ("--data" in wanted), made.err
        assert (tmp_path / "same.chrd").read_bytes() == (project / "u5.chrd").read_bytes()


def test_export_writes_what_its_index_says(project) -> None:
    made = {entry["name"]: entry for entry in project.outcomes["export"].json["artifacts"]}
    assert set(made) == {
        "litert-fp32", "litert-int8", "litert-u5", "onnx-fp32", "onnx-int8", "onnx-u5", "native-int8", "native-u5",
    }  # fmt: skip
    for entry in made.values():
        assert (project / "artifacts" / entry["file"]).stat().st_size == entry["bytes"]


def test_exporting_again_gives_the_same_bytes(project, command, tmp_path: Path) -> None:
    arguments = ("--strategy", project / "u5.chrd", "--precision", "strategy", "--target", "litert,onnx", "--candidates", 20)
    entries = command("export", "--master", project / "m.chrm", *arguments, "--out", tmp_path, "--json").json["artifacts"]
    assert [entry["name"] for entry in entries] == ["litert-u5", "onnx-u5"]
    for entry in entries:
        assert (tmp_path / entry["file"]).read_bytes() == (project / "artifacts" / entry["file"]).read_bytes()


def test_executorch_artifacts_are_made_and_validated(project, command, tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    arguments = ("--master", project / "m.chrm", "--strategy", project / "u5.chrd")
    export = ("export", *arguments, "--target", "executorch", "--precision", "strategy", "--candidates", 20, "--out", tmp_path / "a")
    assert command(*export, "--json").json["artifacts"][0]["file"] == "executorch-u5.pte"
    make = ("bundle", "make", *arguments, "--artifacts", tmp_path / "a", "--data", project / "shop.safetensors", "--histories", 50)
    assert command(*make, "--out", tmp_path / "e.chord", "--json").json["signed_by"] is None
    report = command("validate", tmp_path / "e.chord", "--json").json
    assert report["passed"] and report["artifacts"]["executorch-u5"]["passed"]


def test_a_bundle_is_verified_and_inspected(project, command) -> None:
    key = project.outcomes["bundle key"].json["key"]
    assert project.outcomes["bundle make"].json["signed_by"] == key
    verified = command("bundle", "verify", project / "shop.chord", "--public-key", project / "key.pub.pem", "--run", "--json").json
    assert verified["passed"] and verified["signature_checked"] and verified["key"] == key
    assert "vectors:litert-u5" in verified["checks"] and "vectors:native-u5" in verified["checks"]
    seen = command("bundle", "inspect", project / "shop.chord", "--json").json
    assert seen["key"] == key and len(seen["artifacts"]) == 8 and all(entry["parity"]["passed"] for entry in seen["artifacts"])


def test_validate_holds_every_artifact_against_the_reference(project, command) -> None:
    arguments = ("--data", project / "shop.safetensors", "--backbone", project / "m.fp32.safetensors", "--histories", 60)
    report = command("validate", project / "shop.chord", *arguments, "--json").json
    assert report["passed"] and len(report["artifacts"]) == 8
    assert all(each["n"] == 60 for each in report["artifacts"].values())


def test_bench_measures_in_one_interleaved_run(project, command, tmp_path: Path) -> None:
    quick = ("--rounds", 5, "--block-ms", 1, "--processes", 0)
    names = ("--artifact", "litert-u5", "--artifact", "native-u5")
    outcome = command("bench", project / "shop.chord", *names, *quick, "--out", tmp_path / "bench.json", "--json")
    assert [result["name"] for result in outcome.json["results"]] == ["pytorch-eager", "litert-u5", "native-u5"]
    assert all(result["latency"]["p50_us"] > 0 for result in outcome.json["results"])
    assert json.loads((tmp_path / "bench.json").read_text()) == outcome.json


def test_devices_always_has_this_host(command) -> None:
    listed = command("devices", "--json").json["devices"]
    assert ("host", True) in [(device["name"], device["measurable"]) for device in listed]


def test_the_demo_leaves_a_report_that_can_be_drawn_again(project, command, tmp_path: Path) -> None:
    settings = Settings(rounds=5, block_ms=1, processes=0)
    quick = {"targets": (find_target("native"),), "epochs": 1, "hypernetwork_epochs": 1, "histories": 50, "phones": 0, "bench": settings}
    result = run(DemoOptions(tmp_path / "demo", data=str(project / "shop.safetensors"), users=3, **quick))
    verify = ("bundle", "verify", result.bundle, "--public-key", tmp_path / "demo" / "demo.pub.pem", "--run", "--json")
    assert command(*verify).json["passed"]
    pages = ("--out", tmp_path / "again.html", "--markdown", tmp_path / "tables.md")
    drawn = command("report", result.json, *pages, "--json").json
    assert drawn["bytes"] == (tmp_path / "again.html").stat().st_size
    assert (tmp_path / "again.html").read_bytes() == result.html.read_bytes()
    assert "native-int8" in (tmp_path / "tables.md").read_text()


def test_more_histories_than_users_are_told(project, command) -> None:
    outcome = command(
        "validate", project / "shop.chord", "--data", project / "shop.safetensors", "--artifact", "native-int8", "--histories", 300
    )
    assert outcome.status == 0
    assert "has 120 histories; to make 300, each is taken 3 times, with other candidates" in outcome.err
    outcome = command("validate", project / "shop.chord", "--data", project / "shop.safetensors", "--histories", 100_000_000)
    assert outcome.status == 2 and "less than or equal to 100000" in outcome.err


@pytest.mark.parametrize("arguments", [("data", "info"), ("bundle", "inspect"), ("validate",), ("bundle", "verify")], ids=" ".join)
def test_people_get_the_same_as_tables(arguments: tuple[str, ...], project, command) -> None:
    file = "shop.safetensors" if arguments[0] == "data" else "shop.chord"
    outcome = command(*arguments, project / file)
    assert outcome.status == 0 and "│" in outcome.out and "…" not in outcome.out


@pytest.mark.parametrize("width", [40, 80, 300])
def test_a_narrow_terminal_cuts_nothing_off(width: int) -> None:
    out = io.StringIO()
    columns, body = [f"column{i}" for i in range(9)], [[f"value-{row}-{i}" for i in range(9)] for row in range(3)]
    Console(file=out, width=width, force_terminal=True, color_system=None).print(rows("title", columns, body))
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert all(word in out.getvalue() for word in ["title", *columns[1:], *(cell for row in body for cell in row)])
