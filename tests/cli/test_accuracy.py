"""``evaluate accuracy`` and ``report``: from an owner's files to tables and pages."""

import json
from pathlib import Path

import pytest

from chordkit.data import Dataset
from chordkit.report import Report, load_json


@pytest.fixture(scope="module")
def asked(project, command, tmp_path_factory: pytest.TempPathFactory):
    """What is said of everything that the project has, and the folder with the document and the page."""
    folder = tmp_path_factory.mktemp("accuracy")
    files = ("--backbone", project / "b.safetensors", "--hypernetwork", project / "h.safetensors", "--master", project / "m.chrm")
    line = ("evaluate", "accuracy", project / "shop.chord", "--data", project / "shop.safetensors", *files, "--artifact-users", 20)
    outcome = command(*line, "--out", folder / "accuracy.json", "--page", folder / "accuracy.html", "--json")
    return outcome, folder


def test_every_file_and_artifact_is_asked_beside_simple_baselines(asked) -> None:
    outcome, folder = asked
    lines = {line["name"]: line for line in outcome.json["lines"]}
    assert next(iter(lines)) == "b" and {"b: 8 bits", "h: own", "h: another's", "h: mean", "popularity", "last item", "item-kNN",
                                      "EASE", "litert-fp32", "onnx-u5", "native-int8"} < set(lines)  # fmt: skip
    assert (lines["h: own"]["users"], lines["native-u5"]["users"]) == (120, 20)
    assert lines["native-u5"]["runtime"] == "native" and lines["litert-u5"]["bits"] == pytest.approx(3, rel=0.005)
    assert json.loads((folder / "accuracy.json").read_text()) == outcome.json
    assert outcome.json["notes"] == ["Artifacts were asked for 20 users: their intervals are wider, and differences are over these."]


def test_an_artifact_is_as_good_as_what_it_was_made_from(project, command) -> None:
    """The same model on its own runtime: over the same users the same list, but for rounding among near ties.

    Two neighbours that change places below rank 1 change the NDCG of one user of forty by 0.131 at most.
    """
    names = ("litert-int8", "onnx-int8", "native-int8")
    given = [part for name in names for part in ("--artifact", name)]
    given += ["--hypernetwork", project / "h.safetensors", "--master", project / "m.chrm", "--users", 40, "--artifact-users", 40]
    found = command("evaluate", "accuracy", project / "shop.chord", "--data", project / "shop.safetensors", *given, "--json").json
    lines = {line["name"]: line for line in found["lines"]}
    for name in names:
        for measure in ("masked_ndcg10", "ndcg10", "n100_ndcg10"):
            theirs, ours = (lines[each]["values"][measure]["value"] for each in (name, "h: 8 bits"))
            assert theirs == pytest.approx(ours, abs=0.131 / 40), (name, measure)


def test_the_page_has_a_row_for_each(asked) -> None:
    outcome, folder = asked
    page = (folder / "accuracy.html").read_text()
    assert page.count('<th scope="row">') == len(outcome.json["lines"]) and "How good is each file?" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give a bundle, a --backbone, or a --hypernetwork"),
        (("--hypernetwork", "{p}/h.safetensors"), "give a --master for every --hypernetwork"),
        (("--backbone", "{p}/b.safetensors", "--held-out", "3"), "trained with --held-out 1"),
        (("{p}/shop.chord", "--artifact", "nobody"), "no artifact 'nobody'"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: tuple[str, ...], words: str, project, command) -> None:
    given = [each.format(p=project.folder) for each in arguments]
    outcome = command("evaluate", "accuracy", "--data", project / "shop.safetensors", *given)
    assert outcome.status == 2 and words in outcome.err and outcome.err.count("\n") == 1


def test_a_bundle_of_other_items_is_refused(project, command, tmp_path: Path) -> None:
    data = Dataset.load(project / "shop.safetensors")
    ids = ["", *reversed(data.item_ids[1:])]
    Dataset(data.name, data.flat, data.offsets, ids, data.user_ids).save(tmp_path / "turned.safetensors")
    outcome = command("evaluate", "accuracy", project / "shop.chord", "--data", tmp_path / "turned.safetensors")
    assert outcome.status == 2 and "numbered otherwise" in outcome.err


def test_a_bundle_alone_is_asked_and_what_it_does_not_tell_is_said(project, command) -> None:
    only = ("--artifact", "native-u5", "--artifact", "native-int8", "--artifact-users", 20, "--users", 50)
    found = command("evaluate", "accuracy", project / "shop.chord", "--data", project / "shop.safetensors", *only, "--json").json
    assert [(line["name"], line["users"]) for line in found["lines"][:3]] == [("native-u5", 20), ("native-int8", 20), ("popularity", 50)]
    assert [bool(line["minus_first"]) for line in found["lines"][:3]] == [False, True, True]
    assert "were trained: shop.chord." in found["notes"][0]


# --- report -----------------------------------------------------------------------------------------------------------


def report(command, folder: Path, *sources: object) -> Report:
    """The report of ``sources``, by way of the command."""
    said = command("report", *sources, "--out", folder / "page.html", "--document", folder / "report.json", "--json").json
    assert said["bytes"] == (folder / "page.html").stat().st_size
    return load_json(folder / "report.json")


def headings(folder: Path) -> list[str]:
    return [each.split(">")[1].split("<")[0] for each in (folder / "page.html").read_text().split("<h2 ")[1:]]


def test_a_bundle_alone_makes_a_page_of_what_is_in_it(project, command, tmp_path: Path) -> None:
    found = report(command, tmp_path, project / "shop.chord")
    assert headings(tmp_path) == ["Is every artifact right, and how large is it?", "What does a strategy save in bytes?",
                                  "What does each user get?"]  # fmt: skip
    assert len(found.artifacts) == 8 and all(item.parity and item.parity.passed for item in found.artifacts)
    assert [strategy.user for strategy in found.strategies] == ["u5"] and found.sizes is not None
    assert found.sizes.catalogues[0].items == found.dataset.items == 130
    assert found.title == "chordkit: shop.chord" and not found.benefits and not found.machine


def test_whatever_is_given_has_its_section(project, command, asked, tmp_path: Path) -> None:
    quick = ("--rounds", 5, "--block-ms", 1, "--processes", 0, "--launches", 1, "--artifact", "native-u5", "--out", tmp_path / "bench.json")
    assert command("bench", project / "shop.chord", *quick).status == 0
    checkpoint = project / "h.safetensors.checkpoints" / "hypernetwork-training.safetensors"
    sources = (project / "shop.chord", asked[1] / "accuracy.json", tmp_path / "bench.json", project / "b.safetensors", checkpoint)
    found = report(command, tmp_path, *sources)
    assert headings(tmp_path)[:2] == [f"How good is each file? {found.dataset.name}", "How good is the backbone?"]
    assert {"How fast is it?", "How did the training go?", "Notes"} < set(headings(tmp_path))
    timed = {item.name: item.latency is not None for item in found.artifacts}
    assert timed["native-u5"] and timed["pytorch-eager"] and not timed["litert-u5"] and found.machine["cpu"]
    assert [log.epochs[0].epoch for log in found.trainings] == [0] and found.backbone_accuracy[0].protocol == "full, b.safetensors"
    (tmp_path / "again").mkdir()
    assert report(command, tmp_path / "again", tmp_path / "report.json") == found, "a report alone is drawn again as it is"


def test_what_tells_nothing_is_refused(project, command, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"format": "something"}')
    (tmp_path / "broken.json").write_text('{"format": ')
    (tmp_path / "text").write_text("hello")
    for source, words in (
        (tmp_path / "no.json", "no such file"),
        (tmp_path / "other.json", "no result that a page shows"),
        (tmp_path / "broken.json", "not JSON"),
        (tmp_path / "text", "not a bundle, a result, a trained backbone or a checkpoint"),
        (project / "h.safetensors", "tells nothing of its training"),
    ):
        outcome = command("report", source, "--out", tmp_path / "page.html")
        assert outcome.status == 2 and words in outcome.err and source.name in outcome.err and outcome.err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()
