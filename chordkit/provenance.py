"""Where results come from: the commit of the checkout that this code runs from, and everything that is installed beside it."""

import hashlib
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


def checkout() -> tuple[str | None, bool | None]:
    """Commit of the checkout that this package lies in, and whether tracked files differ from it; (None, None) elsewhere."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None, None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def lock(extras: Iterable[str]) -> str:
    """SHA-256, hexadecimal, of what was installed to compute with: the lines ``name==version``, sorted, of chordkit's requirements.

    These are the packages that chordkit needs, those that its ``extras`` bring as far as they are installed, and what all of them need in
    turn; tools that nobody computes with (pytest, pip) are not among them. Two machines that installed one ``constraints.txt`` for one
    platform have the same.
    """
    found: dict[str, str] = {}
    waiting = [("chordkit", frozenset(extras))]
    asked = set(waiting)
    while waiting:
        name, wanted = waiting.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = distribution.version
        for line in distribution.requires or ():
            needed = _needed(line, wanted)
            if needed is not None and needed not in asked:
                asked.add(needed)
                waiting.append(needed)
    return hashlib.sha256("".join(f"{name}=={version}\n" for name, version in sorted(found.items())).encode()).hexdigest()


def _needed(line: str, extras: frozenset[str]) -> tuple[str, frozenset[str]] | None:
    """The package and its extras that a requirement names, where it holds here with one of ``extras`` or without any."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    marker = requirement.marker
    if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
        return None
    return canonicalize_name(requirement.name), frozenset(requirement.extras)


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
