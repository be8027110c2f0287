"""benchmarks/kernels/peers.py: it runs, names what it cannot run, and times nothing that is wrong. No time is asserted."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig
from chordkit.errors import InputError
from chordkit.export.artifact import Precision
from chordkit.export.targets import EagerRunner

pytest.importorskip("ai_edge_litert", reason="LiteRT is the peer here; pip install 'chordkit[litert]'")
kernels = pytest.importorskip("chordkit.kernels")
if not kernels.available():
    pytest.skip("the native engine was not compiled", allow_module_level=True)

pytestmark = pytest.mark.checkout

FOLDER = Path(__file__).parents[1] / "benchmarks" / "kernels"
MODELS = ("sasrec, 2 heads, norms last", "caser")


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import contest
    import contest.linear
    import contest.linear_litert
    import contest.linear_native

    yield contest


def _tiny() -> Any:
    from contest.model import model_case_of

    return model_case_of("tiny", SASRecConfig(items=3707, heads=1, norm_first=True, dim=32, max_length=12, blocks=1), 5)


@pytest.fixture(scope="module")
def report() -> dict:
    command = [sys.executable, str(FOLDER / "peers.py"), "--quick", "--level", "both", "--rounds", "3", "--runtimes", "litert", "--json"]
    command += ["--model", *(f"={name}" for name in MODELS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_models_and_layers_are_compared_with_the_fastest_peer(report: dict) -> None:
    models = {(case["model"], case["history"]) for case in report["cases"] if case["level"] == "model"}
    layers = {(case["rows"], case["in"], case["bits"]) for case in report["cases"] if case["level"] == "linear"}
    assert models == {(name, history) for name in MODELS for history in ("full", "half")}
    assert layers == {(*shape, bits) for shape in ((50, 64), (1, 1024)) for bits in ("int8", "3.0 bits")}
    for case in report["cases"]:
        rows = {row["name"]: row for row in case["contenders"]}
        assert rows[case["fastest_peer"]]["runtime"] == "litert"
        assert rows[case["fastest_peer"]]["ratio"]["value"] == 1
        assert all(row["ratio"]["low"] <= row["ratio"]["value"] <= row["ratio"]["high"] for row in rows.values())
        assert {row["runtime"] for row in rows.values()} == {"chordkit", "litert"}


def test_peers_have_both_layouts_and_for_half_a_history_a_file_of_half_the_length(report: dict) -> None:
    cases = {(case["model"], case["history"]): case for case in report["cases"] if case["level"] == "model"}
    for (model, history), case in cases.items():
        peers = {row["name"] for row in case["contenders"] if row["runtime"] != "chordkit"} | set(case["missing"])
        shorter = model != "caser" and history == "half"
        assert any("layout speed" in name for name in peers) and any("layout size" in name for name in peers)
        assert any(name.endswith(", L = 25") for name in peers) == shorter


def test_a_built_library_is_called_beside_the_engine_with_the_same_answers(contest: ModuleType) -> None:
    from contest.revision import Loaded

    from chordkit.kernels import _native

    case = _tiny()
    library, engine = Loaded(Path(_native.__file__), case.master.to_bytes(), case.strategy), kernels.Engine(case.master.to_bytes())
    engine.adopt(case.strategy)
    rerank, scores = library.rerank(case.histories, case.candidates)
    np.testing.assert_array_equal(scores, engine.scores(case.histories, case.candidates))
    for again in (library.adopt, library.reopen, library.forget, rerank):
        assert again() == 0
    known = platform.machine() in ("x86_64", "aarch64")
    assert library.cool_code() == library.cool_data() == known
    scores[:] = 0
    assert rerank() == 0, "code and data that were flushed are the same afterwards"
    np.testing.assert_array_equal(scores, engine.scores(case.histories, case.candidates))


def test_a_revision_that_is_none_is_refused(contest: ModuleType, tmp_path: Path) -> None:
    from contest.revision import Loaded, library

    with pytest.raises(InputError, match="--before no-such-commit: git has no such engine"):
        library("no-such-commit")
    (tmp_path / "libchord.so").write_bytes(b"\x7fELF")
    with pytest.raises(InputError, match=r"libchord\.so"):
        Loaded(library(str(tmp_path / "libchord.so")), b"", b"")


def test_the_model_of_half_the_length_answers_short_histories_as_the_whole_one(contest: ModuleType) -> None:
    case = _tiny()
    short = case.half()
    assert short is not None and short.histories.shape[1] == case.histories.shape[1] // 2
    assert 1 < len(short.histories) < len(case.histories)
    found = np.stack([EagerRunner(short.backbone, candidates=5).scores(*pair) for pair in short.inputs(range(len(short.histories)))])
    np.testing.assert_allclose(found, short.references[Precision.FP32], rtol=1e-4, atol=1e-5)


def test_no_form_of_litert_is_wrong(report: dict) -> None:
    assert not [reason for case in report["cases"] for reason in case["missing"].values() if "wrong" in reason]


def test_the_machine_and_the_versions_are_told(report: dict) -> None:
    assert report["machine"]["cpu"] and report["machine"]["versions"]["ai-edge-litert"]


def test_an_unknown_runtime_is_refused() -> None:
    command = [sys.executable, str(FOLDER / "peers.py"), "--runtimes", "litert,tensorrt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "tensorrt is none of litert" in done.stderr


@pytest.mark.parametrize("bits", ["int8", "3.0 bits"])
def test_a_layer_with_two_channels_exchanged_is_not_timed(contest: ModuleType, bits: str) -> None:
    case = contest.linear.linear_case(4, 64, 64, bits)
    order = np.arange(64)
    order[[3, 4]] = 4, 3
    wrong = replace(case, scales=case.scales[order], codes=case.codes[order], widths=case.widths[order])
    missing: dict[str, str] = {}
    right = contest.linear_litert.litert_linears(case, missing)
    assert len(right) >= 3 and not missing
    forms = [(contender.name, contender.activations, lambda contender=contender: contender.bound) for contender in right]
    assert contest.linear.attempts(wrong, "litert", forms, missing) == []
    assert len(missing) == len(right) and all("wrong answer" in reason for reason in missing.values())


def test_the_engine_being_wrong_ends_the_run(contest: ModuleType) -> None:
    case = contest.linear.linear_case(4, 64, 64, "int8")
    ours = contest.linear_native.native_linears(case)
    forms = [("AUTO", "int8", lambda: ours[0].bound)]
    from chordkit.errors import CheckFailed

    with pytest.raises(CheckFailed, match="wrong answer"):
        contest.linear.attempts(replace(case, scales=2 * case.scales), "chordkit", forms, {})


@pytest.mark.parametrize("activations", ["fp32", "bf16", "int8"])
def test_the_tolerance_is_below_what_one_wrong_channel_costs(contest: ModuleType, activations: str) -> None:
    # Two of 64 channels exchanged: an error of sqrt(2 x 2 / 64) of the result's root mean square.
    case = contest.linear.linear_case(50, 64, 64, "int8")
    assert contest.linear.tolerance(case, activations) < 0.1 * np.sqrt(4 / 64)


def test_the_average_width_is_three_bits(contest: ModuleType) -> None:
    widths = contest.linear.linear_case(1, 64, 1000, "3.0 bits").widths
    assert widths.mean() == 3.0


def test_groups_of_channels_come_back_in_order(contest: ModuleType) -> None:
    case = contest.linear.linear_case(1, 16, 100, "3.0 bits")
    groups, order = case.groups(lambda widths: widths)
    assert [bits for bits, _ in groups] == [8, 4, 2]
    assert np.array_equal(np.concatenate([channels for _, channels in groups])[order], np.arange(100))


def test_the_fastest_peer_is_found_within_rounds_not_across_them(contest: ModuleType) -> None:
    from contest.compare import _fastest

    # Peer 0 has the smaller median of all calls, but in the rounds they shared peer 1 was faster.
    ratios = {(0, 0): 1.0, (1, 0): 0.97}
    assert _fastest([0, 1], lambda index: (10.0, 10.2)[index], lambda index, other: ratios[index, other]) == 1
    assert _fastest([], lambda index: 0.0, lambda index, other: 0.0) is None


def test_what_is_hopeless_is_named_and_not_measured(contest: ModuleType) -> None:
    from contest.compare import rows
    from contest.contender import Bound, Contender

    def busy(count: int) -> Bound:
        return Bound(lambda: None, lambda: sum(range(count)), lambda: np.zeros(1), "")

    quick, slow = Contender("quick", "peer", busy(100)), Contender("slow", "peer", busy(100_000))
    result = rows([quick, slow, Contender("ours", "chordkit", busy(100_000))], {}, rounds=2)
    assert [row["name"] for row in result["contenders"]] == ["quick", "ours"] and "slow" in result["missing"]
