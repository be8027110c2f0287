"""``evaluate`` from clicks to pages, and the options of training that its rivals need."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chordkit.hypernetwork import load_hypernetwork
from chordkit.quantization import MasterWeights
from chordkit.strategy import decode_user_vector
from chordkit.training import load_backbone

pytestmark = pytest.mark.long

RIVALS = {
    "own", "other", "mean", "random", "static", "own_vector", "static_vector", "fp32_vector", "sensitivity", "uniform2", "uniform4",
    "uniform8", "fp32", "fp32_long", "duet", "start", "own_age5", "own_age20", "own_age50",
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(project, command, tmp_path_factory: pytest.TempPathFactory):
    """The folder of an evaluation of two budgets, and its command line."""
    folder = tmp_path_factory.mktemp("evaluation")
    quick = ("--epochs", 1, "--seeds", 1, "--held-out", 2, "--validation", 2, "--window", 5)
    more = ("--finetuned", 6, "--backbone", project / "b.safetensors")
    line = ("evaluate", "--data", project / "shop.safetensors", *quick, *more, "--budget", 3.0, "--budget", "2.0:0,8", "--out", folder)
    assert command(*line).status == 0
    return folder, line


def test_an_evaluation_leaves_a_document_of_every_rival_and_budget(evaluated) -> None:
    folder, _ = evaluated
    document = json.loads((folder / "evaluation.json").read_text())
    assert document["seeds"] == [0] and document["window"] == 5 and document["machine"]["versions"]["torch"]
    assert [case["options"]["widths"] for case in document["cases"]] == [[2, 4, 8], [0, 8]]
    assert [(each["key"], each["users"]) for each in document["finetuned"]] == [("finetuned_fp32", 6), ("finetuned_int8", 6)]
    for case in document["cases"]:
        assert {each["key"] for each in case["summary"]["lines"]} == RIVALS
        assert case["summary"]["verdict"]["ship"] in RIVALS


def test_the_same_command_reads_what_is_there(evaluated, command) -> None:
    folder, line = evaluated
    before = json.loads((folder / "evaluation.json").read_text())
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = command(*line, "--json").json
    assert [case["summary"] for case in again["cases"]] == [case["summary"] for case in before["cases"]]
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_another_experiment_is_refused_in_the_same_folder(evaluated, command) -> None:
    _, line = evaluated
    outcome = command(*line, "--no-vectors")
    refusal = outcome.err.splitlines()[-1]
    assert outcome.status == 2 and "seed0.safetensors" in refusal and "vectors" in refusal
    assert [line.split(":")[0] for line in outcome.err.splitlines()] == ["note", "chordkit"], "the backbone learned from some of it"


def test_the_page_begins_with_the_verdict_and_shows_whole_charts(evaluated) -> None:
    folder, _ = evaluated
    page = (folder / "evaluation.md").read_text()
    verdicts = [each["summary"]["verdict"]["sentence"] for each in json.loads((folder / "evaluation.json").read_text())["cases"]]
    assert page.index(verdicts[0]) < page.index(verdicts[1]) < page.index("| rival |")
    for name in re.findall(r"\]\((\w+\.svg)\)", page):
        picture = ElementTree.parse(folder / name).getroot()
        assert picture.tag.endswith("svg") and len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) > 5
        assert "nan" not in (folder / name).read_text().lower()
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json", "evaluation.html", "evaluation.md", "quality.svg", "lengths.svg",
        "checkpoints", "finetuned", "3-of-2.4.8", "2-of-0.8",
    }  # fmt: skip


@pytest.fixture
def train(project, command, tmp_path: Path):
    """Runs ``train hypernetwork`` for an epoch; returns the hypernetwork's options and what the command said."""

    def run(*more: object):
        out, master = tmp_path / "h.safetensors", tmp_path / "m.chrm"
        line = ("train", "hypernetwork", "--data", project / "shop.safetensors", "--backbone", project / "b.safetensors", "--epochs", 1)
        said = command(*line, "--out", out, "--master", master, *more, "--json").json
        return load_hypernetwork(out, MasterWeights.load(master))[0].options, said

    return run


def test_training_takes_the_options_of_every_rival(train) -> None:
    options, said = train("--window", 4, "--widths", "0,2,4,8", "--budgets", "1,6", "--static", "--seen-items-masked", "--held-out", 2)
    assert (options.backbone_init, options.window, options.widths, options.budgets) == ("joint", 4, (0, 2, 4, 8), (1.0, 6.0))
    assert options.quantised and not options.personal and options.seen_masked and options.without == ("element",) and said["window"] == 4


def test_random_backbones_keep_the_documented_training(train) -> None:
    options, _ = train("--backbone-init", "random", "--warm-start", "--without", "layer", "--without", "element")
    assert (options.backbone_init, options.warm_start, options.without, options.lr) == ("random", True, ("layer", "element"), 3e-3)


def test_a_teacher_changes_what_is_learned(train, project) -> None:
    _, alone = train()
    _, taught = train("--teacher", project / "b.safetensors", "--checkpoints", project / "taught")
    assert alone["fingerprint"] != taught["fingerprint"]


def test_a_strategy_and_a_user_vector_within_another_budget(train, project, command, tmp_path: Path) -> None:
    train("--user-vector", "--widths", "0,8")
    made = command(
        "strategy", "make", "--hypernetwork", tmp_path / "h.safetensors", "--master", tmp_path / "m.chrm",
        "--data", project / "shop.safetensors", "--user", 5, "--budget", 1.0, "--out", tmp_path / "5.chrd",
        "--user-vector", tmp_path / "5.chru", "--json",
    ).json  # fmt: skip
    assert made["average_bits"] == pytest.approx(1.0, rel=0.01) and made["user_vector_bytes"] == 28 + 16
    fingerprint = MasterWeights.load(tmp_path / "m.chrm").fingerprint
    vector = decode_user_vector((tmp_path / "5.chru").read_bytes(), fingerprint=fingerprint, dim=16)
    assert vector.values.any()


def test_an_fp32_rival_makes_no_strategies(train, command, tmp_path: Path) -> None:
    options, said = train("--fp32")
    assert not options.quantised and not options.personal and load_backbone(Path(said["fp32"]))[0].config.max_length == 10
    make = (
        "strategy",
        "make",
        "--hypernetwork",
        tmp_path / "h.safetensors",
        "--master",
        tmp_path / "m.chrm",
        "--indices",
        "--history",
        "1,2",
    )
    outcome = command(*make, "--out", tmp_path / "x.chrd")
    assert outcome.status == 2 and "--fp32" in outcome.err and not (tmp_path / "x.chrd").exists()


def test_a_profile_reaches_beyond_the_phones_window(train, command, tmp_path: Path) -> None:
    train("--window", 2)
    said = []
    for number, history in enumerate(("7,8,9,1,2", "40,41,42,1,2")):
        out = tmp_path / f"{number}.chrd"
        make = (
            "strategy",
            "make",
            "--hypernetwork",
            tmp_path / "h.safetensors",
            "--master",
            tmp_path / "m.chrm",
            "--indices",
            "--history",
            history,
        )
        assert command(*make, "--out", out).status == 0
        said.append(out.read_bytes())
    assert said[0] != said[1]
