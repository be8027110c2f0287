"""The pages of an evaluation: its tables as Markdown, its charts, and the document that both are drawn from."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from chordkit.estimate import Estimate
from chordkit.evaluation import HEADLINE, Case, Evaluation, LengthGroup, Line, Summary, TunedLine
from chordkit.files import write_bytes, write_json
from chordkit.report.evaluation_charts import Panel, Reference, Series, panels_chart
from chordkit.report.evaluation_document import EvaluationDocument, budget_title
from chordkit.report.gathering import report_of_evaluation
from chordkit.report.page import render_html

_NAMES = {
    "masked_ndcg10": "masked NDCG@10",
    "n100_ndcg10": "rerank-100 NDCG@10",
    "hard_ndcg10": "hard rerank-100 NDCG@10",
    "likelihood": "log likelihood",
    "masked_likelihood": "masked log likelihood",
}
# (key, name in the legend, colour, ring), in the order of the legend.
_DRAWN = (
    ("own", "own strategy", "personal", False),
    ("own_vector", "own strategy + user vector", "personal", True),
    ("static", "one learned strategy for all", "plain", False),
    ("static_vector", "one strategy + user vector", "plain", True),
)
_LEVELS = (("fp32_long", "FP32, long window", False), ("fp32_vector", "FP32 + user vector", True))
_CASE_COLOURS = ("personal", "plain", "second", "other")


def save_evaluation(evaluation: Evaluation, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``evaluation.json``, ``.html``, ``.md``, ``quality.svg`` and ``lengths.svg`` atomically; returns what was written."""
    texts = {"evaluation.md": evaluation_markdown(evaluation), "quality.svg": quality_chart(evaluation)}
    if any(case.summary.lengths for case in evaluation.cases):
        texts["lengths.svg"] = lengths_chart(evaluation)
    written = [Path(folder) / "evaluation.json"]
    write_json(written[0], evaluation.to_json())
    texts["evaluation.html"] = render_html(report_of_evaluation(EvaluationDocument.of(evaluation)))
    for name, text in texts.items():
        written.append(Path(folder) / name)
        write_bytes(written[-1], text.encode())
    return written


def case_title(case: Case) -> str:
    """A budget in words."""
    return budget_title(case.options.average_bits, case.options.widths)


# --- tables -----------------------------------------------------------------------------------------------------------


def evaluation_markdown(evaluation: Evaluation) -> str:
    """The verdict of every budget, then the tables."""
    lines = [f"# What a personal model is worth: {evaluation.dataset}, {evaluation.architecture}", ""]
    for case in evaluation.cases:
        lines += [f"**{case_title(case)}: {case.summary.verdict.sentence}.**", ""]
    lines += ["![quality against arithmetic or bits and against bytes on the phone](quality.svg)", ""]
    if any(case.summary.lengths for case in evaluation.cases):
        lines += ["![gain of the own strategy by length of history](lengths.svg)", ""]
    lines += [_provenance(evaluation), ""]
    for case in evaluation.cases:
        lines += [f"## {case_title(case)}", "", *_case(case)]
    if evaluation.finetuned:
        lines += ["## Fine-tuned on the phone", "", *_finetuned(evaluation.finetuned), ""]
    return "\n".join(lines).rstrip() + "\n"


def _provenance(evaluation: Evaluation) -> str:
    machine = evaluation.machine
    seeds = ", ".join(map(str, evaluation.seeds))
    commit = "no checkout" if machine.commit is None else machine.commit[:10] + (" with changes" if machine.commit_dirty else "")
    parts = f"of each user the last {evaluation.held_out} items test and the {evaluation.validation} before them validate (at most)"
    if evaluation.split_at is not None:
        parts = (
            f"split by time at {evaluation.split_at}: what came before trains, of each user the first {evaluation.validation} items after "
            f"the one moment validate and the first {evaluation.held_out} after the other test (at most)"
        )
    return (
        f"{evaluation.users:,} users, {evaluation.items:,} items, {evaluation.interactions:,} interactions; {parts}; the phone's window is "
        f"{evaluation.window} items; seeds {seeds}, all of which share these users; 95 % intervals over users. Commit {commit}, "
        f"{machine.cpu}, {machine.cores} cores, torch {machine.versions.get('torch', '?')}, {evaluation.minutes:.0f} minutes. "
        "What rows and columns mean: docs/evaluation.md."
    )


def _case(case: Case) -> list[str]:
    summary = case.summary
    lines = ["### Rivals", "", *_rivals(summary), "", _engine(case), ""]
    lines += ["### Differences, all users", "", "Bold: the interval excludes 0.", "", *_differences(case, ("all",), HEADLINE), ""]
    lines += ["### The same on the two halves", ""]
    lines += ["Whatever was chosen by looking at users was chosen on the choice half; the other half confirms it.", ""]
    lines += [*_differences(case, ("choice", "confirmation"), ("masked_ndcg10", "n100_ndcg10", summary.verdict.measure)), ""]
    if summary.lengths:
        lines += ["### By length of history, own strategy - static strategy", "", *_lengths(summary.lengths), ""]
    lines += ["### Age of the strategy", "", *_ages(case), ""]
    lines += ["### Seeds", "", "Mean over all users under each seed.", "", *_seeds(summary), ""]
    lines += [
        f"Two users' strategies differ in {summary.between_users:.1%} of the channels, one user's at two moments in "
        f"{summary.between_moments:.1%}.",
        "",
    ]
    return lines


def _rivals(summary: Summary) -> list[str]:
    masked = summary.verdict.measure == "masked_likelihood"
    columns = [
        *("rival", "bits", "products", "KB on the phone", "bytes on the wire", "NDCG@10", "HR@10", "seen in the top 10"),
        *("**masked NDCG@5**", "**masked NDCG@10**", "**masked HR@10**", "rerank-100 NDCG@10", "hard rerank-100 NDCG@10"),
        *("log likelihood", "masked log likelihood", "temperature", "coverage", "stability"),
    ]
    body = [
        [
            *(
                f"`{line.key}`: {line.label}",
                f"{line.bits:.2f}",
                f"{line.products:.0%}",
                f"{line.phone_bytes / 1000:,.1f}",
                str(line.wire_bytes),
            ),
            *(_value(line, "ndcg10"), _value(line, "hr10"), f"{line.values['seen10'].value:.0%}"),
            *(_value(line, "masked_ndcg5"), _interval(line.values["masked_ndcg10"]), _value(line, "masked_hr10")),
            *(_value(line, "n100_ndcg10"), _value(line, "hard_ndcg10")),
            *(f"{line.values[measure].value:.3f}" for measure in ("likelihood", "masked_likelihood")),
            f"{line.masked_temperature if masked else line.temperature:.2f}",
            *(f"{line.coverage:.0%}", "" if math.isnan(line.stability) else f"{line.stability:.0%}"),
        ]
        for line in summary.lines
        if not line.key.startswith("own_age")
    ]
    return _table(columns, body)


def _engine(case: Case) -> str:
    if isinstance(case.latency, str):
        return f"Microseconds on the engine: not measured, {case.latency}."
    latency = case.latency
    text = (
        f"One rerank of 100 candidates on the engine, one thread, in turns: the own strategy at {latency.window} items "
        f"{latency.own.p50_us:.1f} us (p90 {latency.own.p90_us:.1f}), int8 at {latency.long_window} items {latency.long.p50_us:.1f} us "
        f"(p90 {latency.long.p90_us:.1f}), ratio {latency.ratio.value:.3f} [{latency.ratio.low:.3f}, {latency.ratio.high:.3f}]"
    )
    return f"{text}; not comparable: {'; '.join(latency.reasons)}." if latency.reasons else f"{text}."


def _differences(case: Case, users: Sequence[str], measures: Sequence[str]) -> list[str]:
    found: dict[tuple[str, str], dict[tuple[str, str], Estimate]] = {}
    for each in case.summary.differences:
        found.setdefault((each.first, each.second), {})[each.measure, each.users] = each.estimate
    cells = [(measure, kind) for measure in measures for kind in users]
    names = [_NAMES[measure] + ("" if kind == "all" else f", {kind}") for measure, kind in cells]
    return _table(["difference", *names], [[f"{a} - {b}", *(_signed(values[cell]) for cell in cells)] for (a, b), values in found.items()])


def _lengths(groups: Sequence[LengthGroup]) -> list[str]:
    body = [
        [f"{group.shortest} to {group.longest}", str(group.users), *(_signed(group.differences[measure]) for measure in HEADLINE)]
        for group in groups
    ]
    return _table(["items before the test items", "users", *(_NAMES[measure] for measure in HEADLINE)], body)


def _ages(case: Case) -> list[str]:
    measures = ("masked_ndcg10", "n100_ndcg10", case.summary.verdict.measure)
    body = []
    for line in case.summary.lines:
        if line.key == "own" or line.key.startswith("own_age"):
            age = line.key.removeprefix("own_age") if line.key != "own" else "0"
            lost = ["" if line.key == "own" else _signed(case.summary.difference("own", line.key, measure)) for measure in measures]
            cells = zip([_value(line, measure) for measure in measures], lost, strict=True)
            body.append([age, *(cell for pair in cells for cell in pair)])
    columns = [column for measure in measures for column in (_NAMES[measure], "fresh - this")]
    return _table(["interactions old", *columns], body)


def _finetuned(lines: Sequence[TunedLine]) -> list[str]:
    body = []
    for line in lines:
        for measure in HEADLINE:
            chosen = ", ".join(f"{lr:g} x {steps}" for lr, steps in zip(line.lrs, line.steps, strict=True))
            numbers = [_interval(line.before[measure]), _interval(line.after[measure]), _signed(line.gain[measure])]
            head = [f"`{line.key}`: {line.label}", chosen] if measure == HEADLINE[0] else ["", ""]
            body.append([*head, _NAMES[measure], *numbers, _signed(line.confirmed[measure])])
    columns = ["rival", "learning rate x steps, by seed", "measure", "before", "after", "after - before", "the same, confirmation half"]
    return [
        f"{lines[0].users} users, each model beside itself as the cloud trained it: the same users' rows of `fp32` and `uniform8`. "
        "Learning rate and steps were chosen on validation items of the choice half.",
        "",
        *_table(columns, body),
    ]


def _seeds(summary: Summary) -> list[str]:
    measures = ("masked_ndcg10", "n100_ndcg10", summary.verdict.measure)
    body = [[line.label, *(", ".join(f"{value:.4f}" for value in line.seeds[measure]) for measure in measures)] for line in summary.lines]
    return _table(["rival", *(_NAMES[measure] for measure in measures)], body)


def _table(columns: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in body]


def _value(line: Line, measure: str) -> str:
    return f"{line.values[measure].value:.4f}"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"


def _signed(estimate: Estimate) -> str:
    text = f"{estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"
    return f"**{text}**" if estimate.low > 0.0 or estimate.high < 0.0 else text


# --- charts -----------------------------------------------------------------------------------------------------------


def quality_chart(evaluation: Evaluation) -> str:
    """Masked NDCG@10 against arithmetic and against bytes on the phone, personal and plain, over the budgets: an SVG file.

    Where no budget switches channels off, all do the same arithmetic, and bits take its place.
    """
    first = evaluation.cases[0].summary
    keys = {line.key for line in first.lines}
    levels = [Reference(name, "other", first.line(key).values["masked_ndcg10"].value, fine) for key, name, fine in _LEVELS if key in keys]

    def panel(x: str, attribute: str, unit: float, title: str, plain: Sequence[int] = (2, 4, 8)) -> Panel:
        def point(line: Line) -> tuple[float, Estimate]:
            return getattr(line, attribute) / unit, line.values["masked_ndcg10"]

        series = [
            Series(name, css, sorted((point(case.summary.line(key)) for case in evaluation.cases), key=lambda spot: spot[0]), hollow)
            for key, name, css, hollow in _DRAWN
            if key in keys
        ]
        uniform = [point(first.line(f"uniform{width}")) for width in plain if f"uniform{width}" in keys]
        if uniform:
            series.append(Series("FP32 quantised afterwards: 2, 4, 8 bits", "other", uniform))
        places = sorted({round(place, 2 if unit == 1 else 0) for each in series for place, _ in each.points})
        return Panel(title, x, _apart(places), series, levels, logarithmic=True)

    switched_off = any(case.summary.line("own").products < 1.0 for case in evaluation.cases)
    panels = [
        # All plain ones do all products: the one at 4 bits stands for them.
        panel("% of the channel layers' products", "products", 0.01, "masked NDCG@10", (4,))
        if switched_off
        else panel("average bits a weight", "bits", 1.0, "masked NDCG@10"),
        panel("KB on the phone", "phone_bytes", 1000.0, "masked NDCG@10"),
    ]
    full = first.line("fp32_long").phone_bytes if "fp32_long" in keys else None
    note = f"{evaluation.dataset}, {evaluation.architecture}, {len(evaluation.seeds)} seeds; whiskers: 95 % over users"
    note += "" if full is None else f"; FP32 takes 32 bits and {full / 1000:,.0f} KB"
    return panels_chart(panels, "masked NDCG@10 against arithmetic or bits and against bytes on the phone, personal and plain", note)


def _apart(places: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks at ``places``, ascending, but for those whose label would run into the one before."""
    ticks: list[tuple[float, str]] = []
    span = math.log(places[-1] / places[0])
    for place in places:
        if not ticks or math.log(place / ticks[-1][0]) > 0.13 * span:
            ticks.append((place, f"{place:g}"))
    return ticks


def lengths_chart(evaluation: Evaluation) -> str:
    """What the own strategy gives over the static one, by length of history, for every budget: an SVG file."""
    cases = [case for case in evaluation.cases if case.summary.lengths]
    groups = cases[0].summary.lengths
    ticks = [(float(index), f"{group.shortest}-{group.longest}") for index, group in enumerate(groups)]

    def panel(measure: str) -> Panel:
        series = [
            Series(
                case_title(case),
                _CASE_COLOURS[number % len(_CASE_COLOURS)],
                [(float(index), group.differences[measure]) for index, group in enumerate(case.summary.lengths)],
                hollow=number >= len(_CASE_COLOURS),
            )
            for number, case in enumerate(cases)
        ]
        return Panel(f"own - static, {_NAMES[measure]}", "items in the history", ticks, series)

    note = (
        f"{evaluation.dataset}, {evaluation.architecture}, {len(evaluation.seeds)} seeds; whiskers: 95 % over users; above 0 the own wins"
    )
    return panels_chart(
        [panel("masked_ndcg10"), panel(cases[0].summary.verdict.measure)], "gain of the own strategy by length of history", note
    )
