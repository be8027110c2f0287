"""What the commands train is what docs/training.md states: the architecture's own defaults, dropout included."""

from pathlib import Path

from chordkit.backbones import default_config
from chordkit.cli.main import run
from chordkit.data import synthesize
from chordkit.training import load_backbone


def test_the_command_trains_the_documented_configuration(tmp_path: Path) -> None:
    dataset = synthesize(0, users=30, items=40, mean_length=12)
    dataset.save(tmp_path / "data.safetensors")
    out = tmp_path / "backbone.safetensors"
    assert run(["train", "backbone", "--data", str(tmp_path / "data.safetensors"), "--epochs", "1", "--out", str(out), "--json"]) == 0
    assert load_backbone(out)[0].config == default_config("sasrec", dataset.items)
