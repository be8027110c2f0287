"""benchmarks/distillation.py: every table of it, on tiny data."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from chordkit.data import synthesize

pytestmark = pytest.mark.checkout


@pytest.fixture
def bench(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    module = script("benchmarks/distillation.py")
    small = synthesize(3, users=40, items=130, mean_length=25.0, max_length=40)
    quick, slow = module.default_options, module.default_hypernetwork_options
    monkeypatch.setattr(module, "load_named", lambda name: small)
    monkeypatch.setattr(module, "default_options", lambda *names, **more: quick(*names, **more, epochs=1))
    monkeypatch.setattr(module, "default_hypernetwork_options", lambda *names, **more: slow(*names, **more, epochs=1, batch=32))

    def run(*more: str) -> None:
        line = ["distillation.py", "--large", "32", "--small", "16", "--max-length", "12", "--out", str(tmp_path), *more]
        monkeypatch.setattr(sys, "argv", line)
        module.main()

    return run


def test_the_tables_of_students(bench: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bench("--seeds", "0,1", "--settings", "one:0.5:1", "mean:0.9:2")
    said = capsys.readouterr().out
    assert "chosen: " in said and "| mean of the 2 of d = 32 | " in said and "| d = 16, taught - d = 32 | " in said
    assert said.count("| d = 16, taught, int8 |") == 1 and "| on the phone (int8) | bytes |" in said
    assert len(list(tmp_path.rglob("lessons-mean.safetensors"))) == 1


def test_the_tables_of_strategies(bench: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bench("--strategies", "--seeds", "0", "--teacher-seeds", "1")
    said = capsys.readouterr().out
    assert all(f"| {row} |" in said for row in ("static", "static, taught", "personal", "personal, taught", "personal - static"))
    assert [path.name for path in tmp_path.rglob("lessons*")] == ["lessons-seen.safetensors"]
