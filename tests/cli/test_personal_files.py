"""`chordkit strategy pack` and `unpack`: what the engine makes of an unpacked file is what it made of the strategy."""

from pathlib import Path

import numpy as np

from chordkit.export.targets import load_runner
from chordkit.quantization import MasterWeights, write_personal
from chordkit.strategy import decode


def test_an_unpacked_personal_file_scores_as_the_strategy_did(project, command, tmp_path: Path) -> None:
    packed = command("strategy", "pack", project / "u5.chrd", "--master", project / "m.chrm", "--out", tmp_path / "u5.chrp", "--json").json
    unpacked = command("strategy", "unpack", tmp_path / "u5.chrp", "--out", tmp_path / "u5.chrm", "--json").json
    master = MasterWeights.load(project / "m.chrm")
    assert packed["bytes"] == (tmp_path / "u5.chrp").stat().st_size < (project / "m.chrm").stat().st_size
    assert (packed["backbone"], unpacked["made of"]) == (master.fingerprint.hex(),) * 2
    assert unpacked["backbone"] != unpacked["made of"]
    theirs = load_runner("native", project / "m.chrm", strategy=(project / "u5.chrd").read_bytes(), candidates=20)
    ours = load_runner("native", tmp_path / "u5.chrm", candidates=20)
    history, candidates = np.arange(1, theirs.length + 1, dtype=np.int32), np.arange(1, 21, dtype=np.int32)
    np.testing.assert_array_equal(ours.scores(history, candidates), theirs.scores(history, candidates))


def test_a_damaged_personal_file_is_refused_by_name(project, command, tmp_path: Path) -> None:
    command("strategy", "pack", project / "u5.chrd", "--master", project / "m.chrm", "--out", tmp_path / "u5.chrp")
    data = bytearray((tmp_path / "u5.chrp").read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad.chrp").write_bytes(data)
    outcome = command("strategy", "unpack", tmp_path / "bad.chrp", "--out", tmp_path / "bad.chrm")
    assert outcome.status == 2 and "bad.chrp: " in outcome.err and not (tmp_path / "bad.chrm").exists()


def test_where_channels_are_off_the_strategy_that_says_so_is_asked_for_and_written(project, command, tmp_path: Path) -> None:
    master = MasterWeights.load(project / "m.chrm")
    widths = np.resize(np.array([8, 0, 2], np.uint8), master.channel_table.channels)
    (tmp_path / "off.chrp").write_bytes(write_personal(master, widths))
    refused = command("strategy", "unpack", tmp_path / "off.chrp", "--out", tmp_path / "off.chrm")
    assert refused.status == 2 and "give --strategy" in refused.err and not (tmp_path / "off.chrm").exists()
    command("strategy", "unpack", tmp_path / "off.chrp", "--out", tmp_path / "off.chrm", "--strategy", tmp_path / "off.chrd")
    expanded = MasterWeights.load(tmp_path / "off.chrm")
    found = decode((tmp_path / "off.chrd").read_bytes(), fingerprint=expanded.fingerprint, channels=widths.size)
    np.testing.assert_array_equal(found.widths, np.where(widths > 0, 8, 0))
