"""Holds a release together: ``python scripts/check_release.py vX.Y.Z`` exits with a sentence when tag, version and CHANGELOG disagree."""

import re
import subprocess
import sys
from pathlib import Path

import chordkit

ROOT = Path(__file__).resolve().parents[1]


def problem(tag: str, version: str, changelog: str) -> str | None:
    """What does not fit the release ``tag`` of ``version``, as a sentence; None when all fits."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        return f"the tag {tag!r} has not the form vX.Y.Z"
    if tag != f"v{version}":
        return f"the tag is {tag} and chordkit.__version__ is {version}: one of them is wrong"
    headings = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    if not headings or headings[0] != "[Unreleased]":
        return "CHANGELOG.md does not begin with an [Unreleased] entry"
    if len(headings) < 2 or not re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", headings[1]):
        return f"the entry below [Unreleased] in CHANGELOG.md is not '[{version}] - YYYY-MM-DD'"
    return None


def main(tag: str) -> str | None:
    """The same for the checkout, of which ``tag`` must be the commit, with nothing changed since."""
    found = problem(tag, chordkit.__version__, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    if found is None and subprocess.run(["git", "diff", "--quiet", f"{tag}^{{commit}}"], cwd=ROOT).returncode:
        return f"the files here are not those of the tag {tag}"
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
