"""What the README promises: its two quickstarts run as they are printed, and its generated parts are up to date."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chordkit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

# The shell block is for real data; on 120 users two epochs show all there is to see, and a bench only needs to run.
FASTER = {
    ("train", "backbone"): ["--epochs", "1", "--dim", "16", "--threads", "1"],
    ("train", "hypernetwork"): ["--epochs", "1"],
    ("bundle", "make"): ["--histories", "100"],
    ("validate",): ["--histories", "100"],
    ("bench",): ["--rounds", "5", "--block-ms", "1", "--processes", "0"],
}


def _block(name: str, language: str) -> str:
    found = re.search(rf"<!-- {name}:begin.*?-->\s*```{language}\n(.*?)```\s*<!-- {name}:end -->", README, re.DOTALL)
    assert found, f"README.md has no {language} block between the {name} markers"
    return found.group(1)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_readme", ROOT / "scripts" / "generate_readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_quickstart_asserts_its_own_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)
    block = _block("quickstart", "python")
    body = [line for line in block.splitlines() if line and not line.startswith("import ")]
    assert len(body) <= 15, "the quickstart is a round trip of at most fifteen lines"
    namespace: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), namespace)
    assert namespace["scores"].shape == (100,) and (tmp_path / "shop.chord").exists()
    used = set(re.findall(r"\bck\.(\w+)", block))
    assert used <= set(chordkit.__all__)


def test_the_shell_quickstart_ends_in_a_validated_bundle(command, clicks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ai_edge_litert", "onnxruntime", "onnx"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    clicks(tmp_path / "clicks.csv")
    lines = _block("shell", "sh").splitlines()
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "chordkit"
        extra = next((more for verb, more in FASTER.items() if tuple(arguments[: len(verb)]) == verb), [])
        outcome = command(*arguments, *extra)
        assert outcome.status == 0, f"{line}: {outcome.err}"
    assert any(line.startswith("chordkit validate") for line in lines) and (tmp_path / "shop.chord").exists()


def test_the_generated_parts_are_up_to_date() -> None:
    assert _generator().generated(README) == README, "run `make readme`"


def test_only_what_is_between_the_markers_is_generated() -> None:
    replace_between = _generator().replace_between
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n"
    assert replace_between(text, "x", "new") == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(ValueError, match="markers"):
        replace_between(text, "y", "new")


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
