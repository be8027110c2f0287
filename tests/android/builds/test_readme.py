"""The README's lines for an app compile as they are printed, and name files and coordinates that there are."""

import re
from pathlib import Path

import pytest

pytest.importorskip("scripts.android", reason="only a checkout has scripts")
from scripts.android import java, layout

pytestmark = pytest.mark.checkout
README = layout.ANDROID / "README.md"
AROUND = """
import android.app.Activity;
import android.os.Build;
import io.chordkit.*;
import io.chordkit.android.Assets;
import io.chordkit.release.*;
import io.chordkit.trust.*;
import java.io.File;
import java.util.List;

final class Example extends Activity {{
  void example(byte[] publicKey, byte[] user, byte[] envelope, List<String> recentSkus, List<String> candidateSkus) throws Exception {{
{lines}
  }}

  void learning(ChordStore.Session session, byte[] chrs, int clicksSince, List<String> recentSkus) throws Exception {{
{learning}
  }}

  interface Server {{
    byte[] strategyFor(byte[] profile, String report);
  }}

  void update(ChordStore store, byte[] channelRoot, Server server, byte[] user, List<String> recentSkus) throws Exception {{
{update}
  }}
}}
"""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_lines_for_an_app_compile_as_they_are_printed(tools, tmp_path: Path) -> None:
    lines, learning, update = _blocks("java")
    assert all(len(block.splitlines()) <= 10 for block in (lines, learning, update))
    (tmp_path / "Example.java").write_text(AROUND.format(lines=lines, learning=learning, update=update), encoding="utf-8")
    library = java.compile_for_android(tools, java.sources(java.CORE, java.BOUNCY_CASTLE), tmp_path / "library", [tools.jar("bcprov")])
    java.compile_for_android(tools, [tmp_path / "Example.java"], tmp_path / "example", [library])


def test_versions_in_the_readme_are_those_of_the_builds() -> None:
    (lines,) = _blocks("kotlin")
    catalog = (README.parent / "gradle" / "libs.versions.toml").read_text(encoding="utf-8")
    wrapper = (README.parent / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text(encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    assert f"io.chordkit:chord-android-bouncycastle:{layout.VERSION}" in lines
    assert f"--gradle-version {re.search(r'gradle-([0-9.]+)-bin', wrapper)[1]}" in text  # type: ignore[index]
    assert f"AGP {'.'.join(re.search(r'agp = .(.*).', catalog)[1].split('.')[:2])}" in text  # type: ignore[index]
    for place in re.findall(r"`(chord-android/[\w/.-]+|scripts/android|settings\.gradle\.kts)`", text):
        assert (README.parent / place).exists() or (README.parents[1] / place).exists(), place
