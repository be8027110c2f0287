"""How phones get all this: strategies from a service, and releases from a channel, stage by stage."""

from markupsafe import Markup

from chordkit.report import charts
from chordkit.report.model import Cloud, Report, RolloutStep, ServedStrategies, StoppedRelease
from chordkit.report.parts import Cell, Chart, Charts, Heading, Part, Section, Table, Words, in_bytes

_SHADES = ("off", "int2", "int4", "int8", "float")


def cloud_section(report: Report) -> Section:
    """What the cloud did for simulated phones."""
    cloud = report.cloud
    parts: list[Part] = []
    if cloud is not None and cloud.strategies is not None:
        parts += _strategies(cloud.strategies)
    if cloud is not None and cloud.rollout:
        parts += _rollout(cloud)
    return Section("cloud", "How do phones get all this?", parts)


def _strategies(served: ServedStrategies) -> list[Part]:
    text = (
        f"Simulated phones asked a service on this machine {served.requests:,} times, each with the profile of one of the users "
        f"({in_bytes(served.profile_bytes)}, no history), and got a strategy in a signed envelope ({in_bytes(served.answer_bytes)}). "
        f"{served.accepted:,} of {served.requests:,} envelopes were checked and accepted, one after the other over loopback, in "
        f"{served.p50_ms:.1f} ms each (p50; p99 {served.p99_ms:.1f} ms)."
    )
    return [Heading("Strategies on request"), Words(text)]


def _rollout(cloud: Cloud) -> list[Part]:
    text = (
        f"After every change of the channel {cloud.phones:,} phones asked the service, said with the same request how their bundle does, "
        "and looked at a mirror of static files where it hinted at something new: signed metadata, and a bundle of "
        f"{in_bytes(cloud.bundle_bytes)} where one was for them. Each verified both, ran its self-check, and kept what it had where "
        "anything was wrong."
    )
    releases = sorted({each.release for step in cloud.rollout for each in step.held})
    shades = [_SHADES[min(index, len(_SHADES) - 1)] for index in range(len(releases))]
    bars = [(step.what, [_held(step, release) for release in releases]) for step in cloud.rollout]
    svg = Markup(charts.share_chart(bars, shades, "phones by the release that they run"))
    key = [(shade, _name(release)) for shade, release in zip(shades, releases, strict=True)]
    rows = [
        [
            Cell(step.what),
            *(Cell(f"{_held(step, release):,}") for release in releases),
            Cell(f"{step.failed:,}" if step.failed else ""),
            Cell(in_bytes(step.bytes)),
            Cell("" if step.idle_bytes is None else in_bytes(step.idle_bytes)),
        ]
        for step in cloud.rollout
    ]
    heads = ("change", *(_name(release) for release in releases), "self-check failed", "fetched by all", "by a phone without news")
    parts: list[Part] = [
        Heading("Releases, stage by stage"),
        Words(text),
        Charts([Chart("Who runs what", "A bar is all phones.", svg)], key),
        Table("Phones by release after each change of the channel", heads, rows),
    ]
    return parts + ([Words(_stopped(cloud.stopped))] if cloud.stopped is not None else [])


def _stopped(stopped: StoppedRelease) -> str:
    return (
        f"Release {stopped.release} was staged to {stopped.percent:g} % of the phones and could not run on some of them (planted here). "
        f"The channel stopped it by itself after {stopped.reports:,} reports, {stopped.failures:,} of which told of a failed self-check. "
        f"Of the {stopped.phones:,} phones, {stopped.adopted:,} run it, whose own self-check passed; none runs a bundle that it cannot run."
    )


def _held(step: RolloutStep, release: int) -> int:
    return next((each.phones for each in step.held if each.release == release), 0)


def _name(release: int) -> str:
    return f"release {release}" if release else "shipped with the app"
