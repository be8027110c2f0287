"""What the README promises: its two quickstarts run as they are printed, and its generated parts are up to date."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chordkit

ROOT = Path(__file__).parents[1]
Script = Callable[[str], ModuleType]

pytestmark = pytest.mark.checkout

# The shell block is for real data; on 120 users two epochs show all there is to see, and a bench only needs to run.
FASTER = {
    ("train", "backbone"): ["--epochs", "1", "--dim", "16", "--threads", "1"],
    ("train", "hypernetwork"): ["--epochs", "1"],
    ("bundle", "make"): ["--histories", "100"],
    ("validate",): ["--histories", "100"],
    ("bench",): ["--rounds", "5", "--block-ms", "1", "--processes", "0", "--launches", "1"],
}


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def _block(readme: str, name: str, language: str) -> str:
    found = re.search(rf"<!-- {name}:begin.*?-->\s*```{language}\n(.*?)```\s*<!-- {name}:end -->", readme, re.DOTALL)
    assert found, f"README.md has no {language} block between the {name} markers"
    return found.group(1)


def test_the_python_quickstart_asserts_its_own_result(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)
    block = _block(readme, "quickstart", "python")
    body = [line for line in block.splitlines() if line and not line.startswith("import ")]
    assert len(body) <= 15, "the quickstart is a round trip of at most fifteen lines"
    namespace: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), namespace)
    assert namespace["scores"].shape == (100,) and (tmp_path / "shop.chord").exists()
    used = set(re.findall(r"\bck\.(\w+)", block))
    assert used <= set(chordkit.__all__)


def test_the_shell_quickstart_ends_in_a_validated_bundle(
    readme: str, command, clicks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("ai_edge_litert", "onnxruntime", "onnx"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    clicks(tmp_path / "clicks.csv")
    lines = _block(readme, "shell", "sh").splitlines()
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "chordkit"
        extra = next((more for verb, more in FASTER.items() if tuple(arguments[: len(verb)]) == verb), [])
        outcome = command(*arguments, *extra)
        assert outcome.status == 0, f"{line}: {outcome.err}"
    assert any(line.startswith("chordkit validate") for line in lines) and (tmp_path / "shop.chord").exists()


def test_the_generated_parts_are_up_to_date(readme: str, script: Script) -> None:
    assert script("scripts/generate_readme.py").generated(readme) == readme, "run `make readme`"


def test_only_what_is_between_the_markers_is_generated(script: Script) -> None:
    replace_between = script("scripts/generate_readme.py").replace_between
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n"
    assert replace_between(text, "x", "new") == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(ValueError, match="markers"):
        replace_between(text, "y", "new")


def test_every_link_leads_somewhere(readme: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", readme)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_every_make_target_exists(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z]+)", readme, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
