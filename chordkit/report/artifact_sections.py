"""Artifacts: whether each is right, how large and how fast; what a strategy saves; and what each user gets."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from chordkit.report import charts
from chordkit.report.model import ArtifactSummary, EmulatedPhone, LatencySummary, Report, SizeLine, Sizes, UserStrategy
from chordkit.report.parts import Cell, Chart, Charts, Heading, Part, Section, Table, Words, in_bytes, without_empty_columns

_COLOURS = {"fp32": "float", "int8": "int8", "strategy": "int4"}


def artifact_section(report: Report) -> Section:
    """Parity and sizes of every artifact, and the bundles that ship."""
    shown = [item for item in report.artifacts if item.bytes is not None or item.parity]
    parts: list[Part] = []
    if shown:
        text = (
            "Each file was run on its real runtime and compared with the PyTorch reference (the same dequantised weights, FP32 "
            "activations) on real histories."
        )
        parts += [Words(text), _parity(shown)]
    if report.bundles:
        rows = [
            [
                Cell(each.file),
                Cell(in_bytes(each.bytes)),
                Cell("yes" if each.signed else "no"),
                Cell(str(each.members)),
                Cell(each.holds),
            ]
            for each in report.bundles
        ]
        parts.append(Table("What ships", ("bundle", "bytes", "signed", "members", "holds"), rows, words=True))
    return Section("artifacts", "Is every artifact right, and how large is it?", parts)


def _parity(shown: Sequence[ArtifactSummary]) -> Table:
    rows = []
    for item in shown:
        bits = "" if item.average_bits is None else f"{item.average_bits:.2f}"
        row = [Cell(item.name, item.bundle or ""), Cell(""), Cell(bits), Cell(in_bytes(item.bytes)), *[Cell("")] * 5]
        if item.parity:
            parity = item.parity
            row[1] = Cell("passed", css="ok") if parity.passed else Cell("FAILED", css="no")
            row[4:] = [
                Cell(f"{100 * parity.top10_overlap:.2f} %"),
                Cell(f"{parity.kendall_tau:.4f}"),
                Cell(f"{parity.max_error:.1e}"),
                Cell(f"{parity.relative_rms_error:.1e}"),
                Cell(f"{parity.ndcg_difference:+.5f}"),
            ]
        rows.append(row)
    heads = ("artifact", "parity", "bits", "bytes", "same top 10", "Kendall τ", "max error", "rms error", "Δ NDCG@10")
    histories = max((item.parity.histories for item in shown if item.parity), default=0)
    caption = f"Every artifact beside PyTorch, over {histories:,} histories" if histories else "Every artifact"
    return without_empty_columns(Table(caption, heads, rows))


def sizes_section(report: Report) -> Section:
    """What a strategy saves in bytes, and what an int4 item table would."""
    sizes = report.sizes
    if sizes is None:
        return Section("sizes", "", ())
    own = sizes.catalogues[0]
    saved = own.int8.total - own.strategy.total
    tables = own.int8.total - own.int8_small_tables.total
    text = (
        f"At {own.items:,} items the item table is {100 * own.int8.tables / own.int8.total:.0f} % of the int8 model. A strategy of "
        f"{sizes.average_bits:.1f} bits saves {in_bytes(saved)} of {in_bytes(own.int8.total)}, {_share(saved, own.int8)}"
    )
    if sizes.table_bits > 4:
        text += (
            f"; an item table in int4 saves {in_bytes(tables)}, {_share(tables, own.int8)} (train with --embedding-bits 4; "
            "`chordkit evaluate accuracy --backbone` says what that costs)"
        )
    return Section("sizes", "What does a strategy save in bytes?", [Words(f"{text}."), _ways(sizes), _catalogues(sizes)])


def _share(saved: int, whole: SizeLine) -> str:
    return f"{100 * saved / whole.total:.1f} %"


def _ways(sizes: Sizes) -> Table:
    own = sizes.catalogues[0]
    lines = [own.fp32, own.int8, own.strategy, own.int8_small_tables, own.strategy_small_tables]
    if sizes.table_bits == 4:
        lines = lines[:3]
    rows = [
        [
            Cell(line.name),
            Cell(in_bytes(line.total)),
            Cell("" if line in (own.fp32, own.int8) else _share(own.int8.total - line.total, own.int8)),
            *(Cell(in_bytes(part)) for part in (line.layers, line.tables, line.rest)),
        ]
        for line in lines
    ]
    caption = (
        f"Weights on the phone, {own.items:,} items of {sizes.dim} numbers, a strategy of {sizes.average_bits:.2f} bits. "
        "An app that changes strategies in place keeps the int8 model"
    )
    return Table(caption, ("stored as", "bytes", "saves, of int8", "layers", "tables", "the rest"), rows)


def _catalogues(sizes: Sizes) -> Table:
    rows = []
    for each in sizes.catalogues:
        cells = [each.strategy, *((each.int8_small_tables, each.strategy_small_tables) if sizes.table_bits > 4 else ())]
        rows.append(
            [
                Cell(f"{each.items:,} items", "this catalogue" if each.own else ""),
                Cell(in_bytes(each.int8.total)),
                *(Cell(_share(each.int8.total - line.total, each.int8), in_bytes(each.int8.total - line.total)) for line in cells),
            ]
        )
    heads = ["catalogue", "int8 everywhere", "a strategy saves", "an int4 item table saves", "both save"][: len(rows[0])]
    return Table("The same model with other catalogues: only the item table grows", heads, rows)


def latency_section(report: Report) -> Section:
    """How fast every artifact is, here and on an emulated phone."""
    timed = sorted(((item, item.latency) for item in report.artifacts if item.latency is not None), key=lambda each: each[1].p50_us)
    parts: list[Part] = []
    if timed:
        svg = charts.latency_chart(
            [(item.name, charts.Percentiles(at.p50_us, at.p90_us, at.p99_us), _COLOURS.get(item.precision, "float")) for item, at in timed],
            "latency of one rerank, us",
        )
        key = [("float", "FP32"), ("int8", "int8"), ("int4", "a strategy")]
        chart = Chart("Fastest first", "Bar: p50; the ticks behind it: p90 and p99.", Markup(svg))
        parts += [Words(report.latency_protocol), Charts([chart], key), _times(timed)]
    if report.emulated is not None:
        parts += _emulated(report.emulated)
    return Section("latency", "How fast is it?", parts)


def _times(timed: Sequence[tuple[ArtifactSummary, LatencySummary]]) -> Table:
    rows = [
        [
            Cell(item.name),
            Cell("yes", css="ok") if at.comparable else Cell("no", "the spread is too wide", "no"),
            *(Cell(f"{us:,.1f}") for us in (at.p50_us, at.p90_us, at.p99_us, at.min_us)),
            Cell(f"{at.load_ms:.2f} ms" if at.load_ms else ""),
            Cell(f"{at.first_call_us:,.0f}" if at.first_call_us else ""),
            Cell(f"{at.coefficient_of_variation:.2f}"),
            Cell(f"{at.calls:,}"),
            Cell("" if at.peak_memory_mib is None else f"{at.peak_memory_mib:.1f} MiB"),
        ]
        for item, at in timed
    ]
    heads = ("artifact", "comparable", "p50", "p90", "p99", "min", "load", "first call", "CV", "calls", "peak memory")
    return without_empty_columns(Table("Latency of one rerank, us, one thread", heads, rows))


def _emulated(phone: EmulatedPhone) -> list[Part]:
    text = (
        f"{phone.machine}, emulated: its clock counts instructions, so that the figures repeat exactly and are the time of no phone. "
        "Compare them with each other only; scores were checked there first."
    )
    rows = [
        [
            Cell(line.name),
            Cell("" if line.ratio is None else f"{line.ratio.value:.3f}"),
            Cell("" if line.instructions is None else f"{line.instructions:,.0f}"),
            Cell("" if line.adoption_instructions is None else f"{line.adoption_instructions:,.0f}"),
            Cell(f"{line.emulated_us:,.1f}"),
            Cell("" if line.peak_memory_mib is None else f"{line.peak_memory_mib:.1f} MiB"),
        ]
        for line in sorted(phone.lines, key=lambda line: line.emulated_us)
    ]
    heads = ("artifact", f"over {phone.baseline}", "instructions a rerank", "instructions an adoption", "emulated us", "peak memory")
    return [Heading("On an emulated phone"), Words(text), without_empty_columns(Table("One rerank on the emulated phone", heads, rows))]


def strategies_section(report: Report) -> Section:
    """The widths of every user that there is a strategy of."""
    strategies = report.strategies
    if not strategies:
        return Section("strategies", "", ())
    text = (
        f"One row a layer, one cell a channel. The phone keeps one set of weights; these {strategies[0].wire_bytes} bytes say how wide "
        "each channel runs."
    )
    key = [("int2", "int2"), ("int4", "int4"), ("int8", "int8"), ("off", "off")]
    maps = [Chart(each.user, f"{each.average_bits:.3f} bits, {each.wire_bytes} bytes", Markup(_heat_map(each))) for each in strategies]
    parts: list[Part] = [Words(text), Charts(maps, key)]
    if len(strategies) > 1 and len({_shape(each) for each in strategies}) == 1:
        widths = np.array([[int(digit) for layer in each.layers for digit in layer.widths] for each in strategies])
        fractions = (widths[:, None] != widths[None]).mean(-1)
        svg = charts.difference_matrix([each.user for each in strategies], fractions, "share of channels whose width differs")
        parts.append(Charts([Chart("How much they differ", "Share of channels whose width is not the same.", Markup(svg))]))
    return Section("strategies", "What does each user get?", parts)


def _shape(strategy: UserStrategy) -> tuple[int, ...]:
    return tuple(len(layer.widths) for layer in strategy.layers)


def _heat_map(strategy: UserStrategy) -> str:
    layers = [(layer.layer.replace("blocks.", ""), np.array([int(digit) for digit in layer.widths], np.uint8)) for layer in strategy.layers]
    return charts.strategy_heat_map(layers, f"strategy of {strategy.user}")
