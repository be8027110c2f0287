"""The demo's service and channel: real processes and files on loopback, and what the report says of them is what happened."""

from pathlib import Path
from typing import Any

import pytest

from chordkit import release, service
from chordkit.demo import DemoResult
from chordkit.demo.cloud import in_the_cloud
from chordkit.errors import MissingRuntimeError
from chordkit.report.model import Cloud


@pytest.fixture(scope="module")
def cloud(demo: DemoResult) -> Cloud:
    try:
        service.require_packages()
        release.require_packages()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    assert demo.report.cloud is not None, demo.report.notes
    return demo.report.cloud


def test_every_phone_got_the_strategy_that_it_asked_for_in_an_envelope_that_it_accepted(cloud: Cloud) -> None:
    served = cloud.strategies
    assert served is not None
    assert served.accepted == served.requests >= 4 * cloud.phones
    assert served.profile_bytes == 4 * (3 * 64 + 1) and 100 < served.answer_bytes < 1000


def test_a_release_reaches_a_part_of_the_phones_and_then_all(cloud: Cloud) -> None:
    held = [{each.release: each.phones for each in step.held} for step in cloud.rollout]
    assert all(sum(phones.values()) == cloud.phones for phones in held)
    # A fifth by hash: within five standard deviations.
    assert abs(held[0][1] - 0.2 * cloud.phones) < 5 * (0.16 * cloud.phones) ** 0.5
    assert held[1] == {1: cloud.phones}
    assert cloud.rollout[0].bytes > held[0][1] * cloud.bundle_bytes
    idle = cloud.rollout[0].idle_bytes
    assert idle is not None and 500 < idle < 5000


def test_a_bad_release_is_stopped_and_nobody_runs_what_it_cannot(cloud: Cloud) -> None:
    stopped, last = cloud.stopped, cloud.rollout[-1]
    assert stopped is not None and stopped.reports >= 20 and 0 < stopped.failures < stopped.reports
    held = {each.release: each.phones for each in last.held}
    assert held == {1: cloud.phones - stopped.adopted, 2: stopped.adopted}
    assert cloud.rollout[2].failed > 0 and last.failed == 0 and last.bytes == 0


def test_the_channel_of_the_demo_says_what_became_of_its_releases(cloud: Cloud, demo: DemoResult) -> None:
    from chordkit.release.channel import Channel

    states = [each.state for each in Channel.open(demo.html.parent / "cloud" / "channel").registry.releases()]
    assert states == ["live", "stopped"]


def test_without_the_service_s_packages_the_demo_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> None:
        raise MissingRuntimeError("the service needs the package fastapi; pip install 'chordkit[serve]'")

    monkeypatch.setattr(service, "require_packages", missing)
    nothing: Any = None
    cloud, notes = in_the_cloud(tmp_path, nothing, nothing, nothing, nothing, nothing, phones=120, seed=0)
    assert cloud is None
    assert notes == ["No service was shown: the service needs the package fastapi; pip install 'chordkit[serve]'."]
