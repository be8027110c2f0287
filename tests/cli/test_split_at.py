"""``--split-at`` from the command line: what it leaves to train and to ask is told, and so is what a model has learned from of that."""

from typing import Any

import pytest

from chordkit.training import load_backbone

SIZES = ("--dim", 8, "--blocks", 1, "--heads", 1, "--max-length", 10, "--epochs", 1)


def test_a_backbone_split_by_time_says_what_it_was_trained_on(project: Any, command: Any, tmp_path: Any) -> None:
    data, out = project / "shop.safetensors", tmp_path / "b.safetensors"
    told = command("data", "info", data, "--split-at", "70%,85%", "--json").json
    assert told["first"] <= told["valid_from"] < told["test_from"] <= told["last"]
    assert told["train_interactions"] == pytest.approx(0.7 * told["interactions"], rel=0.05) and told["test_users"] > 0
    outcome = command("train", "backbone", "--data", data, *SIZES, "--split-at", "70%,85%", "--held-out", 3, "--out", out)
    assert outcome.status == 0, outcome.err
    assert f"split by time at {told['valid_from']} and {told['test_from']}: {told['train_interactions']:,} interactions of" in outcome.err
    split = load_backbone(out)[1]["split"]
    assert (split["held_out"], split["validation"]) == (3, 1) and split["split_at"]["valid"] < split["split_at"]["test"]

    files = ("--backbone", out, "--out", tmp_path / "h.safetensors", "--master", tmp_path / "m.chrm")
    line = ("train", "hypernetwork", "--data", data, *files, "--epochs", 1, "--window", 5)
    same = command(*line, "--split-at", f"{told['valid_from']},{told['test_from']}", "--held-out", 3)
    assert same.status == 0 and "has learned" not in same.err
    other = command(*line, "--held-out", 3)
    assert other.status == 2 and "dataset" in other.err and "another checkpoint folder" in other.err
    other = command(*line, "--held-out", 3, "--restart")
    assert other.status == 0 and f"{out}: it has learned from " in other.err


@pytest.mark.parametrize("line", [("train", "backbone"), ("evaluate",), ("data", "info")])
def test_data_without_times_cannot_be_split_by_them(line: tuple[str, ...], command: Any, tmp_path: Any) -> None:
    path = tmp_path / "seen.txt"
    path.write_text("".join(f"{user} 1 2 3 4 5\n" for user in range(1, 9)))
    source = (path,) if line[0] == "data" else ("--data", path, "--out", tmp_path / "x")
    outcome = command(*line, *source, "--split-at", "80%,90%")
    assert outcome.status == 2 and outcome.out == "" and outcome.err.splitlines()[-1].startswith("chordkit: split_at: data set 'seen' has")
    assert "no times, only the order within each user; prepare it again from a file with times, or leave" in outcome.err
    assert not (tmp_path / "x").is_file()
