"""The protocol on a device, with this machine as the device: real programs, real files, and devices that fail on purpose."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import CheckFailed, DeviceError
from chordkit.export import bundle
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.devices.device import Completed
from chordkit.runtime_bench.devices.host import Host
from chordkit.runtime_bench.results import BenchReport, Settings, State
from chordkit.runtime_bench.samples import SampleWriter, partial_path, read_samples

QUICK = Settings(launches=2, min_samples=20, min_seconds=0.0, block_ms=1.0)
NATIVE = "native-u5"


class Phone(Host):
    """This machine under another name, which does what ``trouble`` says to the answer of every command."""

    def __init__(self, python: bool = False) -> None:
        super().__init__()
        self.name, self._python, self.programs = "phone:1", python, 0

    def python(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return super().python() if self._python else None

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        if "--records" not in command:
            return super().run(command, timeout_s)
        self.programs += 1
        return self.trouble(command, super().run(command, timeout_s))

    def trouble(self, command: Sequence[str], ended: Completed) -> Completed:
        return ended

    def left(self) -> list[Path]:
        return [path for path in Path(self.folder).rglob("*") if path.is_file()]


def _written(command: Sequence[str], option: str) -> Path:
    return Path(command[list(command).index(option) + 1])


def _bench(phone: Phone, project: Path, artifacts: list[str] | None = None, samples: SampleWriter | None = None) -> BenchReport:
    return bench_bundles([project / "shop.chord"], artifacts or [NATIVE], QUICK, None, phone, None, samples)


def test_a_native_artifact_is_checked_counted_and_timed_where_it_runs(project: Path, tmp_path: Path) -> None:
    with Phone() as phone, SampleWriter(tmp_path / "s.jsonl") as samples:
        report = _bench(phone, project, samples=samples)
        assert phone.left() == []
        assert phone.programs == 4  # counts, memory, two launches
    (result,) = report.results
    assert result.isolated is not None and result.isolated.adoption_us is not None and result.isolated.peak_bytes is not None
    assert result.warmup is not None and result.variant and result.sha256 and result.strategy_sha256
    assert (report.device, report.baseline, report.samples) == ("phone:1", NATIVE, "s.jsonl")
    assert len(read_samples(tmp_path / "s.jsonl")[NATIVE]) == 2


def test_what_a_device_cannot_run_is_told_and_what_was_asked_for_by_name_is_an_error(project: Path) -> None:
    with Phone() as phone:
        report = bench_bundles([project / "shop.chord"], None, QUICK, None, phone)
        assert all(result.target == "native" for result in report.results) and report.results
        assert "has no Python that could run" in report.skipped["litert-u5"]
        with pytest.raises(DeviceError, match="litert-u5: phone:1 cannot run it"):
            _bench(phone, project, ["litert-u5"])


def test_runtimes_with_a_python_take_turns_with_the_engine(project: Path) -> None:
    with Phone(python=True) as phone:
        report = _bench(phone, project, ["litert-u5", NATIVE])
    ratios = {result.name: result.ratio for result in report.results}
    assert report.baseline == "litert-u5" and ratios["litert-u5"].value == 1  # type: ignore[union-attr]
    assert all(result.latency.n >= 40 for result in report.results)


class _Reading(Phone):
    def trouble(self, command: Sequence[str], ended: Completed) -> Completed:
        users = int(command[list(command).index("--users") + 1])
        self.histories = np.fromfile(_written(command, "--histories"), "<i4").reshape(users, -1)
        return ended


def test_a_single_test_vector_is_checked_and_then_varied_so_that_no_memory_answers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = bundle.Bundle.vectors
    monkeypatch.setattr(bundle.Bundle, "vectors", lambda self: read(self).rows(np.array([2])))
    with _Reading() as phone:
        report = _bench(phone, project)
        (asked,) = bundle.open(project / "shop.chord", verify=False).vectors().histories
        np.testing.assert_array_equal(phone.histories[0], asked)
        assert len(phone.histories) == 2 and (phone.histories[0] != phone.histories[1]).sum() == 1
    assert report.histories == 1 and report.results[0].latency.n >= 20


class _Lying(Phone):
    def trouble(self, command: Sequence[str], ended: Completed) -> Completed:
        scores = _written(command, "--scores")
        values = np.fromfile(scores, "<f4")
        values[:100] = values[:100][::-1]
        values.tofile(scores)
        return ended


def test_scores_that_are_wrong_on_the_device_are_a_failed_check_and_no_time(project: Path) -> None:
    with _Lying() as phone, pytest.raises(CheckFailed, match="on phone:1: native-u5: its scores are not those of its reference"):
        _bench(phone, project)
    assert phone.programs == 1


class _Crashing(Phone):
    def trouble(self, command: Sequence[str], ended: Completed) -> Completed:
        return Completed(139, "", "Segmentation fault")


def test_a_program_that_crashes_is_told_with_its_signal(project: Path) -> None:
    with _Crashing() as phone:
        with pytest.raises(DeviceError, match=r"native-u5: on phone:1 its program was killed by SIGSEGV: Segmentation fault"):
            _bench(phone, project)
        assert phone.left() == []


class _Cut(Phone):
    def trouble(self, command: Sequence[str], ended: Completed) -> Completed:
        records = _written(command, "--records")
        records.write_bytes(records.read_bytes()[:-20])
        return ended


def test_records_without_an_end_are_not_believed_whatever_the_status_says(project: Path) -> None:
    with _Cut() as phone, pytest.raises(DeviceError, match="has no end; it was cut off"):
        _bench(phone, project)


class _Unplugged(Phone):
    def trouble(self, command: Sequence[str], ended: Completed) -> Completed:
        if self.programs == 4:  # the second launch
            raise DeviceError("phone:1: it went away; plug it in and measure again")
        return ended


def test_a_device_that_goes_away_leaves_what_it_has_measured(project: Path, tmp_path: Path) -> None:
    with _Unplugged() as phone:
        with pytest.raises(DeviceError, match="it went away"), SampleWriter(tmp_path / "s.jsonl") as samples:
            _bench(phone, project, samples=samples)
        assert phone.left() == []
    assert partial_path(tmp_path / "s.jsonl").stat().st_size > 0 and not (tmp_path / "s.jsonl").exists()
    with Phone() as again:
        assert _bench(again, project).results


class _Hot(Phone):
    def state(self) -> State:
        return super().state().model_copy(update={"thermal_status": 2, "bad": ("LOW-BATTERY",)})


def test_a_hot_device_with_a_low_battery_is_measured_and_not_compared(project: Path) -> None:
    with _Hot() as phone:
        report = bench_bundles([project / "shop.chord"], [NATIVE], QUICK.model_copy(update={"thermal_wait_s": 0.0}), None, phone)
    assert not report.comparable
    assert {"the device is LOW-BATTERY", "the device is hot (thermal status 2)"} <= set(report.reasons)


def test_a_baseline_that_does_not_run_there_is_an_error(project: Path) -> None:
    with Phone() as phone, pytest.raises(DeviceError, match="the baseline 'onnx-u5' does not run here"):
        bench_bundles([project / "shop.chord"], None, QUICK, None, phone, "onnx-u5")


def test_the_artifacts_of_the_bundle_are_those_that_these_tests_name(project: Path) -> None:
    with bundle.open(project / "shop.chord") as shop:
        assert {NATIVE, "litert-u5", "onnx-u5"} <= {entry.name for entry in shop.manifest.artifacts}
