"""libchord and Python read the same bytes in the same way. CHORD_FUZZ_SECONDS makes each comparison run longer."""

import os
import random
from collections.abc import Callable
from types import ModuleType

import pytest

kernels = pytest.importorskip("chordkit.kernels")
if not kernels.available():
    pytest.skip("the native engine was not compiled", allow_module_level=True)

pytestmark = pytest.mark.checkout  # what a wheel adds to the two readers is nothing

SECONDS = float(os.environ.get("CHORD_FUZZ_SECONDS", "2"))
ANSWERS = {
    "master": {"malformed", "not run", "runs"},
    "strategy": {"accepted", "length", "magic", "version", "encoding", "flags", "fingerprint", "channel count", "CRC", "code", "pad bits"},
    "user": {"accepted", "length", "magic", "version", "reserved", "fingerprint", "dim", "CRC", "scale", "code"},
    "samples": {
        "accepted", "length", "magic", "version", "reserved", "fingerprint", "counts", "CRC", "deflate", "segments", "marks",
        "table", "items",
    },
    "adapter": {
        "accepted", "length", "magic", "version", "rank", "reserved", "fingerprint", "strategy", "dim", "items", "CRC", "values",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def differential(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tests/fuzz/differential.py")


@pytest.mark.parametrize("parser", ANSWERS)
def test_libchord_and_python_give_the_same_answer(differential: ModuleType, parser: str) -> None:
    campaign = differential.run(parser, SECONDS)
    print(campaign)
    assert campaign.faults == [], "\n".join(f"{what}: {data.hex()}" for what, data in campaign.faults[:5])
    # Every answer came, so that each check was compared.
    assert set(campaign.answers) == ANSWERS[parser]


@pytest.mark.parametrize(
    ("parser", "place"),
    [("master", "chordkit.quantization.rules._check_finite"), ("master", "chordkit.quantization.engine._shape")],
)
def test_a_rule_that_one_side_lacks_is_seen(differential: ModuleType, monkeypatch: pytest.MonkeyPatch, parser: str, place: str) -> None:
    monkeypatch.setattr(place, lambda *arguments: None)
    assert differential.run(parser, 60, executions=1000).faults


def test_the_same_seed_gives_the_same_inputs(differential: ModuleType) -> None:
    def inputs(seed: int) -> list[bytes]:
        stream = differential.judged("master", random.Random(seed))
        return [next(stream)[2] for _ in range(20)]

    assert inputs(3) == inputs(3) != inputs(4)


def test_a_campaign_keeps_the_bytes_on_which_the_two_disagree(
    differential: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--parser", "user", "--executions", "300", "--out", str(tmp_path)]
    assert differential.main(command) == 0
    assert "user: 300 executions, 0 faults" in capsys.readouterr().out
    monkeypatch.setattr("chordkit.strategy.user_vector.LARGEST_SCALE", 1e30)
    assert differential.main(["--parser", "user", "--executions", "3000", "--out", str(tmp_path)]) == 1
    assert f"{tmp_path}/user-0-0.bin: libchord: " in capsys.readouterr().out
