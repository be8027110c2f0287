"""Where results come from: the commit of the checkout that this code runs from."""

import subprocess
from pathlib import Path


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


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
