"""The simulation of the flow as a chart and as tables: quality over days, what it gains, what it weighs, how the phones fared."""

from collections.abc import Sequence
from pathlib import Path

from chordkit.estimate import Estimate
from chordkit.evaluation.flow.simulation import CONDITIONS
from chordkit.evaluation.flow.summary import PAIRS, FlowSummary, Group
from chordkit.files import write_bytes, write_json
from chordkit.report.evaluation_charts import Panel, Series, panels_chart

LABELS = {
    "nothing": "nothing personal",
    "strategy": "a strategy of one's own",
    "coda": "training on the phone (CoDA)",
    "both": "both",
}
_COLOURS = {"nothing": "other", "strategy": "personal", "coda": "second", "both": "plain"}
_MEASURES = {"ndcg": "NDCG@10", "likelihood": "log likelihood, nats"}


def save_flow(summary: FlowSummary, folder: Path) -> list[Path]:
    """Write ``flow.svg``, ``flow.md`` and ``flow.json``; which files these are."""
    files = [folder / name for name in ("flow.md", "flow.svg", "flow.json")]
    write_bytes(files[0], flow_markdown(summary).encode())
    write_bytes(files[1], flow_chart(summary).encode())
    write_json(files[2], summary.to_json())
    return files


def flow_chart(summary: FlowSummary) -> str:
    """How well the next click is foreseen over the days, and what the personal conditions gain over the clicks of a user, paired."""
    spans = summary.spans
    ages = [group for group in summary.groups if group.name.startswith("clicks ")]
    levels = Panel(
        "NDCG@10 of the next click",
        "days since the start",
        [(float(edge), str(edge)) for edge in [*(each.first for each in spans), spans[-1].last]],
        [
            Series(_legend(summary, name), _COLOURS[name], [((each.first + each.last) / 2, _level(name, each.group)) for each in spans])
            for name in CONDITIONS
        ],
        beside=False,
    )
    gains = Panel(
        "gain in log likelihood, nats",
        "clicks that the phone had by then",
        [(float(place), group.name.removeprefix("clicks ")) for place, group in enumerate(ages)],
        [
            Series(
                _legend(summary, name),
                _COLOURS[name],
                [(float(place), group.gains[f"{name} - nothing"]["likelihood"]) for place, group in enumerate(ages)],
            )
            for name in CONDITIONS[1:]
        ],
    )
    arrived = sum(each.arrived for each in spans)
    note = (
        f"{summary.dataset}: {summary.users} users, {arrived} of them arrived on the way; mean of {len(summary.seeds)} seeds; "
        "right: over nothing personal, paired, 95 %"
    )
    label = "quality of the next click over days, and what a strategy, training on the phone and both gain as a user goes on"
    return panels_chart([levels, gains], label, note)


def _legend(summary: FlowSummary, name: str) -> str:
    traffic = summary.traffic[name]
    weight = traffic["up"] + traffic["down"]
    return LABELS[name] if not weight else f"{LABELS[name]}: {weight / 1000:.1f} KB a user and day"


def _level(name: str, group: Group) -> Estimate:
    """Without its interval: of levels it says how users differ, and hides the differences between the lines, which are paired."""
    level = group.values[name]["ndcg"].value
    return Estimate(value=level, low=level, high=level)


# --- tables -------------------------------------------------------------------------------------------------------------


def flow_markdown(summary: FlowSummary) -> str:
    """All tables."""
    parts = [
        f"# The flow on {summary.dataset}",
        _about(summary),
        "## Quality",
        _quality(summary.groups),
        "## Gains, paired over users",
        "\n\n".join(f"### {_MEASURES[measure]}\n\n{_gains(summary.groups, measure)}" for measure in _MEASURES),
        "## By seed",
        "\n\n".join(f"### {_MEASURES[measure]}\n\n{_gains(summary.each_seed, measure)}" for measure in _MEASURES),
        "## Over the days",
        "\n\n".join(f"### {_MEASURES[measure]}\n\n{_gains([each.group for each in summary.spans], measure)}" for measure in _MEASURES),
        "## Bytes a user and day",
        _bytes(summary),
        "## How the phones fared",
        _health(summary),
    ]
    return "\n\n".join(parts) + "\n"


def _about(summary: FlowSummary) -> str:
    options = summary.options
    widths = ", ".join("off" if width == 0 else str(width) for width in options["widths"])
    return (
        f"{summary.users} users who are asked {summary.groups[0].clicks:,} clicks from {summary.start} on, {summary.known} of them known "
        f"before; {summary.visits} days of users, {summary.one_day} of those who arrived came on one day alone. Seeds "
        f"{', '.join(map(str, summary.seeds))}; {options['architecture']} at {options['average_bits']:g} bits of {{{widths}}}, split at "
        f"{options['split_at']}; a strategy and a training every {options['refresh']} clicks, samples every {options['samples']}; pools of "
        f"k = {options['k']} every {options['pool_days']} days."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _quality(groups: Sequence[Group]) -> str:
    def cell(group: Group, name: str) -> str:
        return f"{group.values[name]['ndcg'].value:.4f}, {group.values[name]['likelihood'].value:.3f}"

    rows = [[group.name, str(group.users), f"{group.clicks:,}", *(cell(group, name) for name in CONDITIONS)] for group in groups]
    return _table(["clicks", "users", "how many", *(f"{LABELS[name]}: NDCG@10, nats" for name in CONDITIONS)], rows)


def _gains(groups: Sequence[Group], measure: str) -> str:
    rows = [[group.name, str(group.users), *(signed(group.gains[f"{one} - {other}"][measure]) for one, other in PAIRS)] for group in groups]
    return _table(["clicks", "users", *(f"{one} - {other}" for one, other in PAIRS)], rows)


def signed(estimate: Estimate) -> str:
    """A difference with its interval, bold where that excludes 0."""
    text = f"{estimate:+}"
    return f"**{text}**" if estimate.low > 0 or estimate.high < 0 else text


def _bytes(summary: FlowSummary) -> str:
    kinds = ("profile", "health", "strategy", "samples", "hint", "up", "down")
    heads = ["", "profiles up", "health up", "strategies down", "samples down", "hints down", "all up", "all down"]
    return _table(heads, [[LABELS[name], *(f"{summary.traffic[name][kind]:,.0f}" for kind in kinds)] for name in CONDITIONS])


def _health(summary: FlowSummary) -> str:
    rows = []
    for name, fleet in summary.health.items():
        if fleet is not None:
            of = fleet.totals
            cells = (of.clicks, of.hits, of.requests, of.strategies, of.samples, of.refused, of.trainings, of.adopted, of.undone, of.stale)
            rows.append([LABELS[name], str(fleet.reports), *(f"{cell:,}" for cell in cells)])
    heads = ["", "reports", "clicks", "hits", "requests", "strategies", "samples", "refused", "trainings", "adopted", "undone", "oldest"]
    return _table(heads, rows)
