"""Whether a personal strategy is worth it: the verdict, against what, and every rival."""

from collections.abc import Sequence

from markupsafe import Markup

from chordkit.report import charts
from chordkit.report.model import Benefit, StrategyAccuracy, Truth
from chordkit.report.parts import (
    Cell,
    Chart,
    Charts,
    Heading,
    Part,
    Section,
    Table,
    Verdict,
    Words,
    difference_cells,
    estimate_cell,
    in_bytes,
)

# The colours of a row's mark; all others share one.
_MARKS = {"own": "own", "fp32": "float", "fp32_long": "float", "start": "float"}
# Names that fit beside a chart.
_SHORT_NAMES = {
    "own": "the user's own strategy",
    "static": "static, learned with equal care",
    "fp32": "FP32, the phone's window",
    "fp32_long": "FP32, the long window",
    "start": "FP32 that all began with",
    "other": "another user's strategy",
    "mean": "the mean strategy",
    "random": "a random strategy",
    "sensitivity": "FP32, then widths by sensitivity",
    "own_vector": "own strategy and user vector",
    "static_vector": "static and user vector",
    "fp32_vector": "FP32 and user vector",
    "duet": "int8, generated weights",
    **{f"uniform{width}": f"FP32, then {width} bits everywhere" for width in (2, 4, 8)},
}
# One size for all within the budget, however it was found.
_STATIC = ("static", "sensitivity", "mean")


def headline(benefit: Benefit) -> list[Part]:
    """What is read first: the verdict, and the figures with what each stands against."""
    head = benefit.headline
    first = f"{benefit.title}: {head.sentence}" if benefit.title else head.sentence
    truth = [each.sentence for each in benefit.truth if each.measure == "masked_likelihood"]
    small = f"95 % intervals over users, test items. By validation items of half the users: {head.validation}."
    rivals = headline_rivals(benefit.strategy_accuracy)
    return [Verdict(head.worth_it, [first, *truth], small), *([_against(rivals)] if rivals else [])]


def benefit_section(benefit: Benefit, several: bool) -> Section:
    """Everything that was measured; ``several`` = there are other budgets on the page."""
    rows = benefit.strategy_accuracy
    if not rows:
        return Section("accuracy", "", ())
    title = "Is a personal strategy worth it?" + (f" {benefit.title}" if several else "")
    parts: list[Part] = [Words(benefit.accuracy_protocol), Charts(_charts(rows)), _everything(rows)]
    if benefit.personalisation is not None:
        share = benefit.personalisation
        later = share.mean_difference_in_time
        in_time = "" if later is None else f", one user's at two moments in {100 * later:.1f} %"
        between = 100 * share.mean_pairwise_difference
        text = f"Over {share.users:,} users: two users' strategies differ in {between:.1f} % of the channels{in_time}."
        parts.append(Words(text, dim=True))
    if benefit.truth:
        parts += [Heading("How much was there to gain?"), _truth(benefit.truth)]
    anchor = "accuracy" + "".join(character if character.isalnum() else "-" for character in (benefit.title if several else ""))
    return Section(anchor, title, parts)


def headline_rivals(rows: Sequence[StrategyAccuracy]) -> list[tuple[str, StrategyAccuracy]]:
    """Whom the personal strategies are compared with first, each with what it stands for.

    The best static one is that with the highest likelihood on the very items that are shown, which can only favour it; the uniform one
    is that nearest in bits, of two the larger.
    """
    found = {row.key: row for row in rows}
    own = found.get("own")
    if own is None:
        return []
    rivals = [("personal", own)]
    if "fp32" in found:
        rivals.append(("trained FP32", found["fp32"]))
    static = [found[key] for key in _STATIC if key in found]
    if static:
        rivals.append(("best static", max(static, key=lambda row: row.likelihood.value)))
    uniform = [row for row in rows if row.key.startswith("uniform")]
    if uniform:
        nearest = min(uniform, key=lambda row: (round(abs(row.average_bits - own.average_bits), 1), -row.average_bits))
        same = abs(nearest.average_bits - own.average_bits) < 0.1
        rivals.append(("uniform of the same size" if same else "uniform, nearest in size", nearest))
    return rivals


def _against(rivals: Sequence[tuple[str, StrategyAccuracy]]) -> Table:
    body = []
    for name, row in rivals:
        small = _SHORT_NAMES.get(row.key, row.name)
        likelihood, ndcg = (difference_cells(each) for each in (row.own_minus_this_likelihood, row.own_minus_this))
        body.append(
            [
                Cell(f"{name}, {_bits(row)}", small),
                *(Cell("") if row.key == "own" else each for each in (*ndcg, *likelihood)),
                estimate_cell(row.masked_ndcg10),
                Cell(in_bytes(row.phone_bytes)),
                Cell(f"{100 * row.products:.0f} %"),
            ]
        )
    caption = (
        "Personal against what: NDCG@10 among unseen items and likelihood, over the same users, 95 % intervals. The best static one is "
        "chosen by its likelihood here"
    )
    heads = ("model", "personal is, by NDCG@10", "personal − this", "personal is, by likelihood", "personal − this, nats", "NDCG@10",
             "bytes on the phone", "products left")  # fmt: skip
    return Table(caption, heads, body, mine=f"personal, {_bits(rivals[0][1])}")


def _bits(row: StrategyAccuracy) -> str:
    return (
        "32 bits"
        if row.average_bits == 32
        else f"{row.average_bits:.2g} bits"
        if row.average_bits >= 10
        else f"{row.average_bits:.1f} bits"
    )


def _charts(rows: Sequence[StrategyAccuracy]) -> list[Chart]:
    found = []
    gains = [
        (_SHORT_NAMES.get(row.key, row.name), row.own_minus_this_likelihood, "own" if row.key == "static" else "other")
        for row in rows
        if row.own_minus_this_likelihood is not None
    ]
    shown = [(name, estimate, css) for name, estimate, css in gains if estimate is not None]
    if shown:
        svg = charts.interval_chart(shown, "own strategy minus this: nats an item, with 95 % interval", "+.3f")
        note = "To the right of 0 the user's own strategy is better than the row, over the same users."
        found.append(Chart("What the own strategy gains in likelihood", note, Markup(svg)))
    marks = [(_SHORT_NAMES.get(row.key, row.name), row.masked_ndcg10, _MARKS.get(row.key, "other")) for row in rows]
    svg = charts.interval_chart(marks, "NDCG@10 among unseen items, with 95 % interval")
    return [*found, Chart("Accuracy of every rival", "Intervals of two rows may overlap and their difference still be sure.", Markup(svg))]


def _everything(rows: Sequence[StrategyAccuracy]) -> Table:
    body = []
    for row in rows:
        ndcg, likelihood = difference_cells(row.own_minus_this), difference_cells(row.own_minus_this_likelihood)
        body.append(
            [
                Cell(row.name),
                *ndcg,
                likelihood[1],
                Cell(f"{row.average_bits:.2f}"),
                Cell(f"{100 * row.products:.0f} %"),
                Cell(in_bytes(row.phone_bytes)),
                Cell(f"{row.wire_bytes} B" if row.wire_bytes else ""),
                Cell(f"{row.likelihood.value:.4f}"),
                estimate_cell(row.masked_ndcg10),
                Cell(f"{row.n100_ndcg10.value:.4f}"),
            ]
        )
    heads = ("model", "own is", "own − this, NDCG@10", "own − this, nats", "bits", "products left", "bytes, phone", "bytes, wire",
             "log likelihood", "NDCG@10", "NDCG@10 of 100")  # fmt: skip
    own = next((row.name for row in rows if row.key == "own"), "")
    caption = (
        "Every rival: means over users; differences are paired, with 95 % bootstrap intervals. Of 100: among 100 random unseen items. "
        "Products: multiply-adds of the layers with a strategy; a channel that is off needs none"
    )
    return Table(caption, heads, body, mine=own)


def _truth(found: Sequence[Truth]) -> Table:
    names = {"masked_likelihood": "log likelihood, nats", "masked_ndcg10": "NDCG@10"}
    body = [
        [
            Cell(names[each.measure]),
            Cell(f"{100 * each.share.value:.1f} %", f"[{100 * each.share.low:.1f}, {100 * each.share.high:.1f}]"),
            *(Cell(f"{value.value:.4f}") for value in (each.taste, each.own, each.static, each.context)),
        ]
        for each in found
    ]
    caption = (
        "The generator knows what each user does next. Both oracles see what was seen; one also knows the user's lasting likes, the other "
        "averages over all users who may have taken the last item. The share is (own − static) / (taste − context)"
    )
    return Table(
        caption, ("measure", "share of the gain", "oracle with taste", "own strategy", "static strategy", "oracle with context only"), body
    )
