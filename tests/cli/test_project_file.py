"""chordkit.toml: what it gives, that the command line wins, and that a word that means nothing is not passed over."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_gives_options_and_the_command_line_wins(folder: Path, command: Any) -> None:
    (folder / "chordkit.toml").write_text(
        '[all]\nseed = 3\n[data.prepare]\nuser = "who"\nitem = "what"\ntime = "when"\nwhere = ["kind=buy", "kind=view"]\nk_core = 2\n'
    )
    rows = "".join(f"u{user},i{item},{item},{'view' if item < 4 else 'buy'}\n" for user in range(3) for item in range(5))
    (folder / "x.csv").write_text("who,what,when,kind\n" + rows)
    outcome = command("data", "prepare", "x.csv", "--out", "x.safetensors", "--json")
    assert outcome.status == 0 and outcome.json["interactions"] == 15
    assert (
        "note: from chordkit.toml: --user who, --item what, --time when, --where ['kind=buy', 'kind=view'], --k-core 2, --seed 3"
        in outcome.err
    )
    assert command("data", "prepare", "x.csv", "--out", "y.safetensors", "--where", "kind=view", "--json").json["interactions"] == 12
    shown = command("config", "show", "--json").json
    assert shown["file"] == "chordkit.toml"
    assert shown["commands"]["data prepare"] == {
        "seed": 3, "user": "who", "item": "what", "time": "when", "where": ["kind=buy", "kind=view"], "k_core": 2,
    }  # fmt: skip
    assert shown["commands"]["bench run"] == {"seed": 3}


def test_a_wrong_value_is_said_to_come_from_the_file(folder: Path, command: Any) -> None:
    (folder / "chordkit.toml").write_text('[train.backbone]\ndata = "x"\nout = "y"\nepochs = "many"\n')
    refused = command("train", "backbone")
    assert refused.status == 2 and "'--epochs'" in refused.err and refused.err.endswith("(from chordkit.toml)\n")
    assert "from chordkit.toml" not in command("train", "backbone", "--epochs", "many").err


def test_another_file_may_be_named_and_without_one_there_is_nothing(folder: Path, command: Any) -> None:
    assert command("config", "show", "--json").json == {"file": None, "commands": {}}
    (folder / "other.toml").write_text("[bench.run]\nlaunches = 2\n")
    assert command("--config", "other.toml", "config", "show", "--json").json["commands"] == {"bench run": {"launches": 2}}
    missing = command("--config", "none.toml", "config", "show")
    assert missing.status == 2 and "none.toml" in missing.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[train.backbone]\nwidth = 3\n", "[train.backbone] width: there is no such option; there are architecture, batch"),
        ("[train.decoder]\ndim = 3\n", "[train.decoder]: there is no such command; there are backbone, hypernetwork"),
        ("[sell]\ndim = 3\n", "[sell]: there is no such command; there are "),
        ("[all]\nwidth = 3\n", "[all] width: there is no such option"),
        ("seed = 3\n", "[seed]: there is no such command"),
        ("[train]\ndim = 3\n", "[train]: options belong to one of its commands: backbone, hypernetwork"),
        ("[all]\nseed = {a = 1}\n", "[all] seed: give a text, a number, true or false, or a list of them"),
        ("all = 3\n", "all: write a table, [all]"),
        ("[all\n", "not TOML"),
        ("[train.backbone]\ndim = 'wide'\n", "Invalid value for '--dim'"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(text: str, says: str, folder: Path, command: Any) -> None:
    (folder / "chordkit.toml").write_text(text)
    outcome = command("train", "backbone", "--data", "synthetic", "--out", "x.safetensors")
    assert outcome.status == 2 and says in outcome.err and not (folder / "x.safetensors").exists()
