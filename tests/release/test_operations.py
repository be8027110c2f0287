"""The page of operations: its table is the script's, its commands run, and the files beside it name what there is."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

pytest.importorskip("tuf", reason="needs chordkit[release]")
pytest.importorskip("sqlalchemy", reason="needs chordkit[release]")

from chordkit.cli.main import app

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
FILES = ROOT / "scripts" / "service"
BESIDE = {"rm", "systemctl", "nginx", "curl", "rsync"}
"""Programs of the runbook that are not chordkit's."""


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "operations.md").read_text()


def test_the_table_is_what_the_script_says(page: str, script: Callable[[str], ModuleType]) -> None:
    capacity = script("benchmarks/capacity.py")
    given = capacity.Assumptions()
    said = f"{capacity.table(capacity.SIZES, given)}\n\n{capacity.assumptions(given)}"
    assert page.split("<!-- capacity:begin -->\n")[1].split("\n<!-- capacity:end -->")[0] == said


def commands(page: str) -> list[list[str]]:
    """The lines of the runbook, as words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.split("## Runbook")[1], re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_every_command_of_the_runbook_runs_in_its_order(
    page: str, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_bundle: Any, bundle_key: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    made = command("release", "init", "shop", "--name", "shop", "--share", "root=2/3", "--root-keys", "stick")
    assert made.status == 0, made.err
    for counter in (1, 2, 3):
        done = command("release", "publish", make_bundle(counter), "--channel", "shop", "--public-key", bundle_key)
        assert done.status == 0, done.err
    shutil.copy(make_bundle(4), "shop-4.chord")
    shutil.copy(bundle_key, "spare.pub.pem")
    lines = commands(page)
    verbs = set()
    for program, *arguments in lines:
        if program != "chordkit":
            assert program in BESIDE, program
            continue
        outcome = command(*arguments)
        assert outcome.status == 0, f"{shlex.join(arguments)}: {outcome.err}"
        verbs.add(tuple(arguments[:2]))
    assert {("release", "pause"), ("release", "rollback"), ("release", "kill"), ("release", "rotate"), ("serve", "token")} <= verbs
    shown = command("release", "status", "--channel", "shop", "--json").json
    assert shown["problem"] is None and shown["killed"] == [] and shown["remarks"] == []
    states = {each["release"]: each["state"] for each in shown["releases"]}
    assert states[3] == "rolled back" and states[5] == "live"
    assert shown["roles"]["root"]["threshold"] == 2 and shown["roles"]["root"]["version"] == 5


def takes(words: list[str]) -> None:
    """Parse a command line of chordkit, which raises where it is none."""
    group: Any = typer.main.get_command(app)
    context = None
    while hasattr(group, "commands"):
        name, *words = words
        context = typer.Context(group, info_name=name, parent=context)
        group = group.get_command(context, name)
        assert group is not None, name
    parser = group.make_parser(typer.Context(group, info_name="x", parent=context))
    _, left, _ = parser.parse_args(args=list(words))
    assert not left


def test_units_and_containers_run_commands_that_exist() -> None:
    yaml = pytest.importorskip("yaml")
    found = []
    for name in ("chordkit-serve.service", "chordkit-release-watch.service"):
        (line,) = re.findall(r"^ExecStart=/opt/chordkit/bin/chordkit (.*)$", (FILES / name).read_text(), re.MULTILINE)
        found.append([word for word in line.split() if not word.startswith("$")])
    compose = yaml.safe_load((FILES / "compose.yaml").read_text())
    services = compose["services"]
    found += [service["command"] for service in services.values() if service["image"] == "chordkit"]
    assert len(found) == 4
    for words in found:
        takes(words)
    with pytest.raises(Exception, match="nowhere"):
        takes(["release", "watch", "--nowhere"])
    for service in services.values():
        secrets = {each if isinstance(each, str) else each["source"] for each in service.get("secrets", ())}
        assert secrets <= compose["secrets"].keys()
        for volume in service.get("volumes", ()):
            place = volume.split(":")[0]
            assert place in compose["volumes"] or place == "./models" or (FILES / place).is_file(), volume
        assert set(service.get("depends_on", ())) <= services.keys()


def test_alerts_ask_for_metrics_that_are_told_and_name_parts_of_the_page(page: str) -> None:
    yaml = pytest.importorskip("yaml")
    pytest.importorskip("prometheus_client")
    from chordkit.service.metrics import Metrics

    told = {metric.name for metric in Metrics()._registry.collect()} | {"chordkit_channel_seconds_left", "chordkit_channel_problem"}
    sections = {"#" + title.lower().replace(" ", "-") for title in re.findall(r"^### (.*)$", page, re.MULTILINE)}
    (group,) = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        names = {re.sub(r"_(total|bucket)$", "", name) for name in re.findall(r"chordkit_\w+", rule["expr"])}
        assert names <= told, rule
        assert rule["alert"] in page and "#" + rule["annotations"]["runbook"].split("#")[1] in sections


def test_units_are_in_order(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    for path in FILES.glob("*.service"):
        text = path.read_text().replace("/opt/chordkit/bin/chordkit", "/bin/true")  # the program has to be there
        (tmp_path / path.name).write_text(text)
        said = subprocess.run([analyze, "verify", tmp_path / path.name], capture_output=True, text=True)
        assert (said.returncode, said.stderr) == (0, "")
