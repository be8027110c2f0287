"""docs/your-model.md: its example runs as it is printed."""

import re
from pathlib import Path

import pytest

from chordkit.export import bundle

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.checkout


def page() -> str:
    return (DOCS / "your-model.md").read_text()


def test_the_example_of_the_page_makes_a_bundle_in_fifteen_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ai_edge_litert", "onnxruntime", "onnx"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    found = re.search(r"<!-- example:begin.*?-->\s*```python\n(.*?)```\s*<!-- example:end -->", page(), re.DOTALL)
    assert found
    lines = [line for line in found[1].splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 15
    exec(compile(found[1], "your-model.md", "exec"), {"__name__": "example"})
    with bundle.open(tmp_path / "mine.chord") as written:
        assert {entry.target for entry in written.manifest.artifacts} == {"litert", "onnx"}
        assert all(entry.parity is not None and entry.parity.passed for entry in written.manifest.artifacts)
        assert written.master().config["architecture"] == "mine"


def test_every_link_of_the_page_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page())
    assert links and all((DOCS / link).exists() for link in links)
