"""The demo's own bookkeeping; the stages are tested where they live."""

from dataclasses import replace
from pathlib import Path

from chordkit.data import synthesize
from chordkit.demo import DemoOptions
from chordkit.demo.pipeline import checkpoint_folder


def test_only_the_same_run_finds_its_checkpoints_again(tmp_path: Path) -> None:
    options = DemoOptions(out=tmp_path)
    small, other = (synthesize(seed, users=20, items=110, mean_length=12) for seed in (0, 1))
    runs = [
        (small, options),
        (other, options),
        *((small, replace(options, **change)) for change in ({"seed": 1}, {"epochs": 3}, {"architecture": "caser"})),
    ]
    folders = [checkpoint_folder(dataset, run) for dataset, run in runs]
    assert len(set(folders)) == len(folders)
    assert checkpoint_folder(small, DemoOptions(out=tmp_path)) == folders[0]
    assert all(folder.is_relative_to(tmp_path) for folder in folders)
