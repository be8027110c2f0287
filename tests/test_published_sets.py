"""docs/quickstart-your-data.md: the two published sets out of packages, all the way, where somebody has fetched them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "CHORDKIT_PUBLISHED"
"""Names the folder `packages` of that page; the sets may not be shipped, so nothing is fetched here."""
PAGE = Path(__file__).parents[1] / "docs" / "quickstart-your-data.md"
pytestmark = [pytest.mark.checkout, pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder with the packages")]


def test_two_published_sets_go_from_their_packages_to_recommendations(tmp_path: Path) -> None:
    (tmp_path / "packages").symlink_to(Path(os.environ[VARIABLE]).resolve())
    text = PAGE.read_text(encoding="utf-8").partition("## Two published sets")[2]
    _, prepare, way = re.findall(r"```shell\n(.*?)```", text, flags=re.DOTALL)
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = run("bash", "-ec", prepare) + run(sys.executable, "-c", program)
    assert re.search(r"interactions +│ +100,000 ", told)
    first, rest = way.split("\n", 1)
    for choice in re.findall(r"SET=\w+ WHO=\w+", first):
        told = run("bash", "-ec", f"{choice}\n{rest}")
        assert "failed" not in told and re.search(r"native-\d+ .*passed", told) and re.search(r"│ 5 │ +\d+ │ ", told), told
