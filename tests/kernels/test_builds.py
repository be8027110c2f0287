"""One list of sources and one of flags: no build has its own."""

import pytest

from chordkit.kernels import build as libchord

BUILDS = ("CMakeLists.txt", "build_android.sh", "build_arm.sh")


@pytest.mark.parametrize("name", BUILDS)
def test_a_build_reads_the_lists_and_repeats_neither(name: str) -> None:
    text = (libchord.LIBCHORD / name).read_text(encoding="utf-8")
    assert "sources.txt" in text and "flags.txt" in text
    assert not [flag for flag in libchord.flags() if flag in text.split()]
    assert "src/" not in text


def test_every_c_file_of_the_library_is_compiled() -> None:
    tools = {path for tool in (libchord.LIBCHORD / "tools").iterdir() for path in libchord.tool(tool.name)}
    assert tools and tools.isdisjoint(libchord.sources())
    assert tools | set(libchord.sources()) == set(libchord.LIBCHORD.rglob("*.c"))
