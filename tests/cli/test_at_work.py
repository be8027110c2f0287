"""How a command tells that it is still at work, and how it ends when somebody wants it to."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chordkit.cli.main import run
from chordkit.cli.output import ProgressLines

# What takes long here does not depend on how chordkit is installed.
pytestmark = pytest.mark.long
COMMAND = [sys.executable, "-m", "chordkit"]


def test_without_a_terminal_a_line_every_half_minute_says_how_long_it_will_take() -> None:
    lines: list[str] = []
    clock = [100.0]
    tell = ProgressLines(lines.append, lambda: clock[0])
    for second in range(0, 100, 10):
        clock[0] = 100.0 + second
        tell("training", 50 * second, 10_000)
    assert lines == [
        "training: 1,500 of 10,000, 0:30 min so far, about 2:50 min left",
        "training: 3,000 of 10,000, 1:00 min so far, about 2:20 min left",
        "training: 4,500 of 10,000, 1:30 min so far, about 1:50 min left",
    ]
    clock[0] = 300.0
    tell("writing", 3, 3)
    assert lines[3:] == ["writing: 3 of 3, 0:00 min so far"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_says_so_and_goes_on_with_the_same_command(number: signal.Signals, clicks: Any, tmp_path: Path) -> None:
    clicks(tmp_path / "clicks.csv")
    prepare = ["data", "prepare", str(tmp_path / "clicks.csv"), "--user", "uid", "--item", "sku", "--time", "ts"]
    assert run([*prepare, "--out", str(tmp_path / "shop.safetensors")]) == 0
    out, checkpoints = tmp_path / "b.safetensors", tmp_path / "b.safetensors.checkpoints"
    sizes = ["--dim", "16", "--max-length", "10", "--epochs", "20", "--batch", "20"]
    command = [*COMMAND, "train", "backbone", "--data", str(tmp_path / "shop.safetensors"), *sizes, "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment) as process:
        deadline = time.monotonic() + 120
        while not any(checkpoints.glob("*.safetensors")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "chordkit: interrupted; what was finished is kept, run the same command to go on"
    assert not out.exists() and any(checkpoints.glob("*.safetensors"))
    assert run(command[len(COMMAND) :]) == 0 and out.exists()


def test_an_interruption_that_comes_while_an_error_is_told_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            if not self.getvalue():
                super().write("\n")
                raise KeyboardInterrupt  # as a signal's handler does; the signal itself is ignored where the tests run in the background
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run(["data", "info", "nowhere"]) == 130
    assert terminal.getvalue() == "\nchordkit: interrupted; what was finished is kept, run the same command to go on\n"


@pytest.mark.parametrize("arguments", [["--help"], ["data", "info", "synthetic", "--json"]], ids=["help", "json"])
def test_a_reader_that_has_had_enough_is_no_error(arguments: list[str]) -> None:
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0 and said == ""


def test_quiet_makes_no_remarks(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProgressLines, "EVERY_S", 0.0)
    path = tmp_path / "x.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{item},{item}\n" for item in range(5)))
    assert run(["data", "info", str(path)]) == 0
    assert "filter: 2 of 2" in capsys.readouterr().err
    assert run(["--quiet", "data", "info", str(path)]) == 0
    quiet = capsys.readouterr()
    assert quiet.err == "" and "interactions" in quiet.out
    assert run(["data", "info", str(path)]) == 0  # one command's wish is not the next one's
    assert "filter: 2 of 2" in capsys.readouterr().err


def test_verbose_says_how_long_each_phase_took_and_where_an_error_was_raised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{item},{item}\n" for item in range(5)))
    assert run(["--verbose", "data", "info", str(path)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == ["beginning", "read", "filter"]
    assert all(re.fullmatch(r"\w+: \d+\.\d\d s", line) for line in told)
    missing = ["data", "info", str(tmp_path / "no\x1b[2J.csv")]
    assert run(["-v", *missing]) == 2
    where = capsys.readouterr().err
    assert "Traceback (most" in where and "load_named" in where and where.splitlines()[-1].startswith("chordkit: ") and "\x1b" not in where
    assert run(missing) == 2 and "Traceback" not in capsys.readouterr().err
    assert run(["-q", "-v", *missing]) == 2 and "--quiet and --verbose: give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("batch", ["6144", "1000000"], ids=["steps", "one step, and no loss after it"])
def test_settings_that_make_training_diverge_are_told(batch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "x.safetensors")
    size = ["--dim", "16", "--max-length", "10", "--epochs", "1", "--batch", batch]
    assert run(["train", "backbone", "--data", "synthetic", *size, "--lr", "1e30", "--out", out]) == 2
    said = capsys.readouterr().err
    assert said.startswith("chordkit: training options: the ") and "no longer finite in epoch 0: lower lr = 1e+30" in said
    assert not Path(out).exists()


def test_a_backbone_is_sized_kept_early_extended_and_begun_anew(project: Any, command: Any, tmp_path: Path) -> None:
    out = tmp_path / "b.safetensors"
    sizes = ("--dim", 16, "--max-length", 10, "--blocks", 1, "--heads", 4, "--dropout", 0.1, "--threads", 1)
    train = ("train", "backbone", "--data", project / "shop.safetensors", *sizes, "--out", out)
    refused = command(*train, "--best-so-far")
    assert refused.status == 2 and "has no checkpoint of a run that was interrupted" in refused.err
    first = command(*train, "--epochs", 1, "--json").json
    assert first["epochs"] == 1 and first["options"]["epochs"] == 1
    assert command(*train, "--epochs", 3, "--json").json["epochs"] == 3
    again = command(*train, "--epochs", 5, "--best-so-far", "--json").json
    assert again["epochs"] == 3
    assert command(*train, "--epochs", 2, "--restart", "--json").json["epochs"] == 2
    assert command(*train, "--restart", "--best-so-far").status == 2
    refused = command("train", "backbone", "--data", project / "shop.safetensors", "-a", "caser", "--heads", 2, "--out", out)
    assert refused.status == 2 and "heads" in refused.err


def test_activations_are_chosen_for_every_quantised_artifact(project: Any, command: Any, tmp_path: Path) -> None:
    export = ("export", "--master", project / "m.chrm", "--backbone", project / "m.fp32.safetensors", "--candidates", 20)
    made = command(*export, "--target", "litert", "--activations", "int8", "--out", tmp_path / "a", "--json").json
    assert {each["precision"]: each["activations"] for each in made["artifacts"]} == {"fp32": "fp32", "int8": "int8"}
    refused = command(*export, "--target", "native", "--activations", "fp32", "--out", tmp_path / "b")
    assert refused.status == 2 and "native: fp32 activations are not supported" in refused.err


@pytest.mark.parametrize(
    ("typed", "offered"), [("chordkit tr", ["train", "trainer"]), ("chordkit rel", ["release"]), ("chordkit bundle v", ["verify"])]
)
def test_a_shell_completes_commands(typed: str, offered: list[str]) -> None:
    words = {"_CHORDKIT_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(COMMAND, env=os.environ | words, capture_output=True, text=True)
    assert done.stdout.split() == offered and done.stderr == ""
