"""The folder of an export is one export's, whoever else writes into it at the same time."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from chordkit.backbones import build, default_config, make_master
from chordkit.export.artifact import Precision
from chordkit.export.bundle import ArtifactContents
from chordkit.export.collection import Sources, read_folder, write_folder
from chordkit.strategy import Strategy


def test_two_exports_into_one_folder_leave_one_of_them_whole(tmp_path: Path) -> None:
    def sources(dim: int) -> Sources:
        master = make_master(build(default_config("sasrec", 40, dim=dim, max_length=10)))
        widths = np.full(master.channel_table.channels, 8, np.uint8)
        strategies: Mapping[str, Strategy] = {f"u{number}": Strategy(widths, master.fingerprint) for number in range(4)}
        return Sources(master, None, strategies)

    def artifact(name: str) -> ArtifactContents:
        return ArtifactContents(
            name=f"native-{name}",
            target="native",
            precision=Precision.STRATEGY,
            activations="int8",
            candidates=10,
            strategy=name,
            data=None,
        )

    both = [sources(8), sources(16)]
    artifacts = [artifact(f"u{number}") for number in range(4)]
    fingerprints = {each.master.fingerprint.hex() for each in both}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            list(pool.map(lambda each: write_folder(tmp_path, artifacts, each), both))
            fingerprint, found = read_folder(tmp_path)
            assert fingerprint in fingerprints and len(found) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "master.chrm", "u0.chrd", "u1.chrd", "u2.chrd", "u3.chrd"]
