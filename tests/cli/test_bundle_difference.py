"""``chordkit bundle diff`` and ``apply``: from the bundle that is there to the one that is wanted."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np


def test_a_difference_is_written_and_applied(command: Any, tmp_path: Path) -> None:
    old = np.random.default_rng(0).bytes(5000)
    new = old[:1000] + b"some more" + old[1000:]
    files = {name: tmp_path / name for name in ("old.chord", "new.chord", "d.chordd", "made.chord")}
    files["old.chord"].write_bytes(old)
    files["new.chord"].write_bytes(new)
    made = command("bundle", "diff", files["old.chord"], files["new.chord"], "--out", files["d.chordd"], "--json").json
    assert made["bytes"] == files["d.chordd"].stat().st_size < 200 and made["of"] == len(new)
    assert (made["base_sha256"], made["result_sha256"]) == (hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
    applied = command("bundle", "apply", files["old.chord"], files["d.chordd"], "--out", files["made.chord"], "--json").json
    assert files["made.chord"].read_bytes() == new and applied["sha256"] == made["result_sha256"]


def test_where_the_whole_is_better_or_the_base_another_the_status_says_so(command: Any, tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("old.chord", "new.chord", "other.chord"))
    for seed, path in enumerate((old, new, other)):
        path.write_bytes(np.random.default_rng(seed).bytes(3000))
    refused = command("bundle", "diff", old, new, "--out", tmp_path / "d.chordd")
    assert refused.status == 1 and f"ship {new} whole" in refused.err and not (tmp_path / "d.chordd").exists()
    new.write_bytes(old.read_bytes()[:-1])
    assert command("bundle", "diff", old, new, "--out", tmp_path / "d.chordd").status == 0
    refused = command("bundle", "apply", other, tmp_path / "d.chordd", "--out", tmp_path / "made.chord")
    assert refused.status == 2 and "difference: base: it is for another file" in refused.err and not (tmp_path / "made.chord").exists()
    refused = command("bundle", "apply", old, tmp_path / "d.chordd", "--out", old)
    assert refused.status == 2 and "is also the file of OLD" in refused.err and len(old.read_bytes()) == 3000
