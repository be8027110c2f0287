"""A release's tag, version and CHANGELOG entry belong together."""

from collections.abc import Callable
from types import ModuleType

import pytest

pytestmark = pytest.mark.checkout

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2027-01-31\n\n### Added\n"


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "says"),
    [
        ("1.2.3", "1.2.3", CHANGELOG, "vX.Y.Z"),
        ("v1.2.3-rc1", "1.2.3-rc1", CHANGELOG, "vX.Y.Z"),
        ("v1.2.4", "1.2.3", CHANGELOG, "chordkit.__version__ is 1.2.3"),
        ("v1.2.4", "1.2.4", CHANGELOG, r"not '\[1.2.4\] - YYYY-MM-DD'"),
        ("v1.2.3", "1.2.3", CHANGELOG.replace(" - 2027-01-31", ""), "YYYY-MM-DD"),
        ("v1.2.3", "1.2.3", CHANGELOG.replace("## [Unreleased]\n\n", ""), "Unreleased"),
        ("v1.2.3", "1.2.3", "# Changelog\n", "Unreleased"),
    ],
)
def test_what_does_not_belong_together_is_named(
    script: Callable[[str], ModuleType], tag: str, version: str, changelog: str, says: str
) -> None:
    problem = script("scripts/check_release.py").problem
    assert problem("v1.2.3", "1.2.3", CHANGELOG) is None
    with pytest.raises(SystemExit, match=says):
        raise SystemExit(problem(tag, version, changelog))
