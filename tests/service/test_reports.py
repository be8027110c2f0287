"""Reports of phones are added up in the registry and answered with a hint, and no answer depends on either."""

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from chordkit.errors import ReleaseError
from chordkit.release import Cohort, Release, Stage
from chordkit.release.home import Home
from chordkit.release.records import Health
from chordkit.release.registry import Registry, database
from chordkit.release.report import ABIS, RUNTIMES, Report

REGISTRY = "registry.sqlite"
PASSED = "release=1,runtime=native,abi=arm64-v8a,app=3.4.0,check=passed"
FAILED = PASSED.replace("passed", "failed")


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """Release 1 for everybody, 2 for apps from 3.4 on and small phones, 3 stopped."""
    registry = Registry.open(f"sqlite:///{tmp_path}/{REGISTRY}")
    with registry.transaction() as transaction:
        for number, state, cohort in ((1, "live", Cohort()), (2, "staged", Cohort("3.4", device=("small",))), (3, "stopped", Cohort())):
            stage = Stage("00" * 16, 100)
            transaction.add(Release(number, number, "0" * 16, "0" * 64, f"shop-{number}.chord", 1, stage, cohort), state)
    Home.of(tmp_path, "shop").write()
    return tmp_path


@pytest.fixture
def registry(channel: Path) -> Registry:
    return Registry.open(f"sqlite:///{channel}/{REGISTRY}")


@pytest.fixture
def asking(material: Any) -> Callable[..., dict[str, Any]]:
    def request(report: str | None, **terms: Any) -> dict[str, Any]:
        named = {"fingerprint": material.master().fingerprint.hex(), **terms} | ({} if report is None else {"report": report})
        headers = {f"chord-{name}": str(value) for name, value in named.items()}
        return {"content": material.profiles(1)[0].tobytes(), "headers": headers}

    return request


def live(service: Any, work: Callable[[], Any]) -> Any:
    """``work`` in a thread while the service lives, from its first moment to its last."""

    async def run() -> Any:
        async with service.app.router.lifespan_context(service.app):
            return await asyncio.to_thread(work)

    return asyncio.run(run())


def eventually(check: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_report_is_counted_and_hinted_at_and_changes_no_byte(make, asking, channel: Path, registry: Registry, monkeypatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stdout", log)
    plain, service = make(), make(channel=str(channel), refresh_s=60.0, access_log=True)

    def work() -> None:
        bare = plain("POST", "/v1/strategy", **asking(None))
        for report, device, hint in (
            (PASSED, "medium", "1"),
            (PASSED, "small", "2"),
            (PASSED.replace("3.4.0", "3.3.9"), "small", "1"),
            (FAILED, "small", "2"),
            ("release=0,check=none", None, "2"),
        ):
            terms = {} if device is None else {"device": device}
            answer = service("POST", "/v1/strategy", **asking(report, **terms))
            assert (answer.status_code, answer.headers.get("chord-release")) == (200, hint)
            assert answer.content == plain("POST", "/v1/strategy", **asking(None, **terms)).content
        for without in (service("POST", "/v1/strategy", **asking(None)), plain("POST", "/v1/strategy", **asking(PASSED))):
            assert without.content == bare.content and "chord-release" not in without.headers

    live(service, work)  # the end has what was counted since told
    assert registry.health(1) == (Health("native", "arm64-v8a", 3, 1),)
    metrics = service("GET", "/metrics").text
    for check, count in (("passed", 3.0), ("failed", 1.0), ("none", 1.0)):
        assert f'chordkit_reports_total{{check="{check}"}} {count}' in metrics
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert len(lines) == 7 and "3.4.0" not in log.getvalue() and "native" not in log.getvalue()


def test_json_reports_as_headers_do(make, asking, material, channel: Path) -> None:
    service, weights, profile = make(channel=str(channel)), material.master(), material.profiles(1)[0]
    body = {"fingerprint": weights.fingerprint.hex(), "profile": profile.tolist(), "device": "small", "report": PASSED}
    by_json = service("POST", "/v1/strategy", json=body)
    by_header = service("POST", "/v1/strategy", **asking(PASSED, device="small"))
    assert (by_json.content, by_json.headers["chord-release"]) == (by_header.content, "2") and by_header.headers["chord-release"] == "2"


@pytest.mark.parametrize("report", ["release=1", PASSED + ",user=7", PASSED.replace("3.4.0", "2147483648"), "x" * 257])
def test_a_report_that_is_none_is_refused_with_a_channel_and_without(report: str, make, asking, channel: Path) -> None:
    for service in (make(), make(channel=str(channel))):
        answer = service("POST", "/v1/strategy", **asking(report))
        assert answer.status_code == 422 and "eport" in answer.json()["detail"]
        assert 'check="passed"} 0.0' in service("GET", "/metrics").text


def test_a_refused_request_counts_for_nothing(make, asking, channel: Path) -> None:
    service = make(channel=str(channel))
    request = asking(PASSED)
    request["content"] = request["content"][:-4]
    assert service("POST", "/v1/strategy", **request).status_code == 422
    assert 'check="passed"} 0.0' in service("GET", "/metrics").text


def test_whatever_phones_say_no_more_is_kept_than_there_are_releases_runtimes_and_abis(make, channel: Path, registry: Registry) -> None:
    service = make(channel=str(channel), refresh_s=60.0)
    reports = service.state.reports

    def work() -> None:
        for number in range(6000):
            report = Report(number % 5000, "passed", runtime=f"r{number}", abi=f"a{number}", app=str(number))
            reports.count(reports.hear(report.header(), None))
        assert len(reports._sums) == 3 and len(reports._heard) <= 4096
        for runtime in (*RUNTIMES, "mine"):
            for abi in (*ABIS, "mine"):
                reports.count(reports.hear(Report(1, "failed", runtime=runtime, abi=abi).header(), None))
        assert len(reports._sums) == 3 + (len(RUNTIMES) + 1) * (len(ABIS) + 1)

    live(service, work)
    assert sum(each.failed for each in registry.health(1)) == (len(RUNTIMES) + 1) * (len(ABIS) + 1)
    assert sum(each.passed for number in (1, 2, 3) for each in registry.health(number)) == 6
    unknown = 6000 - 2 - 6  # and 2 of release 0, which count for none
    assert f'chordkit_reports_dropped_total{{why="unknown_release"}} {unknown}.0' in service("GET", "/metrics").text


def test_while_the_registry_is_gone_it_answers_and_keeps_and_tells_once(
    make, asking, channel: Path, registry: Registry, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.05)
    service = make(channel=str(channel), refresh_s=0.05)
    file = channel / REGISTRY

    def ask() -> None:
        answer = service("POST", "/v1/strategy", **asking(PASSED))
        assert (answer.status_code, answer.headers["chord-release"]) == (200, "2")

    def told(event: str) -> int:
        heard.append(capsys.readouterr().err)
        return sum(json.loads(line)["event"] == event for line in "".join(heard).splitlines())

    heard: list[str] = []

    def work() -> None:
        file.rename(channel / "away")
        for _ in range(3):
            ask()
        eventually(lambda: told("registry lost") == 1)
        ask()
        (channel / "away").rename(file)
        eventually(lambda: registry.health(1) == (Health("native", "arm64-v8a", 4, 0),))
        eventually(lambda: told("registry back") == 1)
        with registry.transaction() as transaction:  # busy
            transaction.set_stage(2, 0, "stopped")
            ask()
            eventually(lambda: told("registry lost") == 2)
        eventually(lambda: registry.health(1) == (Health("native", "arm64-v8a", 5, 0),))
        eventually(lambda: service("POST", "/v1/strategy", **asking(PASSED)).headers["chord-release"] == "1")

    live(service, work)
    assert registry.health(1)[0].passed >= 6 and told("reports lost") == 0


def test_what_cannot_be_told_before_the_end_is_said(make, asking, channel: Path, capsys) -> None:
    service = make(channel=str(channel), refresh_s=60.0)

    def work() -> None:
        service("POST", "/v1/strategy", **asking(PASSED))
        (channel / REGISTRY).rename(channel / "away")

    live(service, work)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [each["event"] for each in events[-2:]] == ["registry lost", "reports lost"] and events[-1]["text"].startswith("1 reports")


def test_without_a_registry_at_its_place_it_does_not_start(make, tmp_path: Path) -> None:
    for place in (str(tmp_path), f"sqlite:///{tmp_path}/none.sqlite", "mysql://host/database"):
        with pytest.raises(ReleaseError):
            make(channel=place)


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("psycopg")
    yield f"postgresql://ann:secret@/releases?host={tmp_path}"


def test_it_starts_while_the_server_of_its_registry_is_down(make, asking, nowhere: str, capsys) -> None:
    service = make(channel=nowhere)
    answer = service("POST", "/v1/strategy", **asking(PASSED))
    assert answer.status_code == 200 and "chord-release" not in answer.headers
    error = capsys.readouterr().err
    assert '"registry lost"' in error and "secret" not in error
