"""libchord's tree: one list of sources and one of flags for every build, one file for a backbone, no Python."""

import re
from pathlib import Path

import pytest

from chordkit.kernels import available, backbones
from chordkit.kernels import build as libchord

pytestmark = pytest.mark.checkout

BUILDS = [path for path in libchord.LIBCHORD.iterdir() if path.suffix == ".sh" or path.name == "CMakeLists.txt"]


@pytest.mark.parametrize("path", BUILDS, ids=lambda path: path.name)
def test_a_build_reads_the_lists_and_repeats_neither(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "sources.txt" in text and "flags.txt" in text
    assert not [flag for flag in libchord.flags() if flag in text.split()]
    assert "src/" not in text


def test_every_c_file_is_in_the_list_or_a_tools_or_of_a_part_beside_the_engine() -> None:
    tools = {path for tool in (libchord.LIBCHORD / "tools").iterdir() for path in libchord.tool(tool.name)}
    verifier = set((libchord.LIBCHORD / "verify").rglob("*.c"))
    parts = {part: set(libchord.part_sources(part)) for part in libchord.PARTS}
    delta = set((libchord.LIBCHORD / "delta").rglob("*.c"))
    assert tools and tools.isdisjoint(libchord.sources()) and (verifier | delta).isdisjoint(libchord.sources())
    assert all(found and {path.parent.name for path in found} == {part} for part, found in parts.items())
    assert tools | verifier | delta | set().union(*parts.values()) | set(libchord.sources()) == set(libchord.LIBCHORD.rglob("*.c"))


@pytest.mark.skipif(not available(), reason="the native engine was not compiled")
def test_a_backbone_is_named_in_its_own_file_and_in_the_list_only() -> None:
    for name in backbones():
        naming = {path.name for path in (libchord.LIBCHORD / "src").iterdir() if re.search(rf"\b{name}\b", path.read_text())}
        assert naming == {f"{name}.c", "backbones.inc"}


def test_a_c_user_needs_no_python() -> None:
    assert not [*libchord.LIBCHORD.rglob("*.py"), *libchord.LIBCHORD.rglob("*.pyi")]
