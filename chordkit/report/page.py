"""A report as one self-contained HTML page, and the same sections as Markdown."""

import os
import re

from chordkit.files import write_bytes
from chordkit.report.accuracy_sections import accuracy_section
from chordkit.report.artifact_sections import artifact_section, latency_section, sizes_section, strategies_section
from chordkit.report.benefit_sections import benefit_section, headline
from chordkit.report.cloud_section import cloud_section
from chordkit.report.model import Report
from chordkit.report.parts import Bullets, Cell, Section, Table, Words, facts_table
from chordkit.report.stages_section import stages_section
from chordkit.report.templating import embedded, page
from chordkit.report.training_sections import backbone_section, training_section


def render_html(report: Report) -> str:
    """The report as one HTML page: style sheet and charts inside, nothing fetched from anywhere. What is not known has no section."""
    return page("report.html.j2", facts=_facts(report), embedded_json=embedded(report), **_content(report))


def render_markdown(report: Report) -> str:
    """The same sections as Markdown, for a repository, without the charts."""
    text = page("report.md.j2", **_content(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def save_html(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the HTML page atomically."""
    write_bytes(path, render_html(report).encode())


def save_markdown(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the Markdown atomically."""
    write_bytes(path, render_markdown(report).encode())


def _content(report: Report) -> dict[str, object]:
    commit = f"commit {report.commit}" if report.commit else ""
    seed = "" if report.seed is None else f"seed {report.seed}"
    origin = " · ".join(part for part in (f"chordkit {report.chordkit}", report.created, seed, commit) if part)
    opening = [part for each in report.benefits for part in headline(each)]
    about = [] if report.dataset is None else [Words(_about(report))]
    sections = [benefit_section(each, len(report.benefits) > 1) for each in report.benefits]
    sections += [accuracy_section(each, number) for number, each in enumerate(report.accuracy)]
    sections += [backbone_section(report), artifact_section(report), stages_section(report), sizes_section(report), latency_section(report)]
    sections += [strategies_section(report), cloud_section(report), training_section(report), *_rest(report)]
    return {"title": report.title, "origin": origin, "opening": [*about, *opening], "sections": [each for each in sections if each.parts]}


def _about(report: Report) -> str:
    dataset = report.dataset
    assert dataset is not None
    text = f"{dataset.name}: {dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions"
    if not dataset.users or not dataset.interactions:
        return text + "."
    each = dataset.interactions / dataset.users
    # Of repeated interactions a user may have more than there are items.
    share = f", as many as 1 of every {dataset.items / each:,.0f} items" if each < dataset.items / 2 else ""
    return f"{text}: {each:,.0f} a user{share}."


def _facts(report: Report) -> list[tuple[str, str]]:
    facts = []
    if report.strategies:
        facts.append((f"{report.strategies[0].wire_bytes} B", "on the wire for a user's strategy"))
    checked = [item.parity for item in report.artifacts if item.parity]
    if checked:
        facts.append((f"{sum(parity.passed for parity in checked)} of {len(checked)}", "artifacts pass parity"))
    if report.personalisation_share is not None:
        facts.append((f"{100 * report.personalisation_share:.0f} %", "of the channels differ between two users"))
    timed = [item for item in report.artifacts if item.latency and item.latency.comparable]
    if timed:
        fastest = min(timed, key=lambda item: item.latency.p50_us if item.latency else 0.0)
        assert fastest.latency is not None
        facts.append((f"{fastest.latency.p50_us:,.0f} us", f"a rerank, {fastest.name}, the fastest on this host"))
    if report.stages:
        facts.append((f"{sum(stage.seconds for stage in report.stages):.0f} s", "for the whole way"))
    return facts


def _rest(report: Report) -> list[Section]:
    steps = [[Cell(stage.name), Cell(f"{stage.seconds:.1f}")] for stage in report.stages]
    machine = {name: " ".join(value) if isinstance(value, list) else value for name, value in report.machine.items()}
    told = machine | report.runtimes | {f"backbone: {name}": value for name, value in report.backbone.items()}
    return [
        Section("notes", "Notes", [Bullets(report.notes)] if report.notes else []),
        Section("time", "Where the time went", [Table("Seconds of every step", ("step", "seconds"), steps)] if steps else [], folded=True),
        Section("machine", "Machine, runtimes, backbone", [facts_table("What this was made with", told)] if told else [], folded=True),
    ]
