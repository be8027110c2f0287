"""Quality against microseconds, with all channels on and with a quarter of them: the plot and the table of docs/results/off-channels.md.

    python benchmarks/off_channels.py --svg docs/results/off-channels.svg

Qualities are those of docs/results/personal-*.md (`chordkit evaluate`). Times are of the native engine, one thread, 100 candidates, warm:
random weights of the same shapes, full histories, for a tight budget ten strategies with exactly a quarter of the model's channels on,
drawn at random. All of them take turns, in an order drawn anew in each round; a time is the median over the rounds of the mean of 20 calls.
"""

import argparse
import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import build, default_config, make_master
from chordkit.estimate import Estimate
from chordkit.files import atomic_writer
from chordkit.kernels import Engine
from chordkit.kernels.engine import PreparedRerank
from chordkit.report.evaluation_charts import Panel, Series, panels_chart
from chordkit.strategy import Strategy, encode

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
ITEMS, CANDIDATES, DRAWN, CALLS, LONG = 1682, 100, 10, 20, 50
TIGHT, WHOLE = "## 2 bits of {off, 8}", "## 3 bits of {2, 4, 8}"


@dataclass(frozen=True)
class Model:
    """One point: a row of a page, and how much of a model of which window runs."""

    name: str
    series: str
    section: str
    row: str
    window: int
    tight: bool


def models(window: int) -> list[Model]:
    return [
        Model(f"8 bits at {LONG} items", "8 bits, for everybody", WHOLE, "fp32_long", LONG, False),
        Model("8 bits", "8 bits, for everybody", WHOLE, "uniform8", window, False),
        Model("static, 3 bits of {2, 4, 8}", "static: learned, for everybody", WHOLE, "static", window, False),
        Model("static, 2 bits of {off, 8}", "static: learned, for everybody", TIGHT, "static", window, True),
        Model("own, 3 bits of {2, 4, 8}", "own: chosen for each user", WHOLE, "own", window, False),
        Model("own, 2 bits of {off, 8}", "own: chosen for each user", TIGHT, "own", window, True),
    ]


def quality_of(page: Path, section: str, row: str) -> Estimate:
    """Masked NDCG@10 with its interval, from a row of a page's section."""
    text = page.read_text(encoding="utf-8").split(section, 1)[1]
    line = next(line for line in text.splitlines() if line.startswith(f"| `{row}`:"))
    found = re.search(r"\| (\d\.\d+) \[(\d\.\d+), (\d\.\d+)\] \|", line)
    if found is None:
        raise SystemExit(f"{page.name}: the row {row} has no interval")
    return Estimate(**dict(zip(("value", "low", "high"), map(float, found.groups()), strict=True)))


def calls_of(architecture: str, window: int, tight: bool) -> list[Callable[[], object]]:
    """Prepared reranks, each of an engine with a strategy of its own."""
    torch.manual_seed(5)
    backbone = build(default_config(architecture, ITEMS, dim=64, max_length=window))
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    master = make_master(backbone)
    channels, calls = master.channel_table.channels, []
    for seed in range(DRAWN if tight else 1):
        generator = np.random.default_rng(seed)
        widths = np.full(channels, 8, np.uint8)
        if tight:
            widths[generator.permutation(channels)[channels // 4 :]] = 0
        engine = Engine(master.to_bytes())
        engine.adopt(encode(Strategy(widths, master.fingerprint), allow_off=tight))
        rerank = engine.prepare(window, CANDIDATES)
        rerank.history[:] = generator.integers(1, ITEMS + 1, window)
        rerank.candidates[:] = generator.integers(1, ITEMS + 1, CANDIDATES)
        calls.append(changing(rerank))
    return calls


def changing(rerank: PreparedRerank) -> Callable[[], object]:
    """A rerank whose oldest item is another one in every call, because a session remembers its last history."""
    oldest = memoryview(rerank.history)
    items = itertools.cycle((1, 2))

    def run() -> object:
        oldest[0] = next(items)
        return rerank.run()

    return run


def times_of(kinds: list[tuple[str, int, bool]], rounds: int) -> dict[tuple[str, int, bool], float]:
    """Microseconds of each kind of rerank."""
    calls = {kind: calls_of(*kind) for kind in kinds}
    spent: dict[tuple[str, int, bool], list[float]] = {kind: [] for kind in kinds}
    for round_ in range(rounds):
        for place in np.random.default_rng(round_).permutation(len(kinds)):
            kind = kinds[place]
            run = calls[kind][round_ % len(calls[kind])]
            run()
            begun = time.perf_counter_ns()
            for _ in range(CALLS):
                run()
            spent[kind].append((time.perf_counter_ns() - begun) / CALLS / 1000)
    return {kind: float(np.median(values)) for kind, values in spent.items()}


def main(arguments: argparse.Namespace) -> None:
    windows = {"sasrec": 10, "caser": 5}
    kinds = [(architecture, *kind) for architecture, window in windows.items() for kind in ((window, False), (window, True), (LONG, False))]
    times = times_of(kinds, arguments.rounds)
    panels = []
    print("| MovieLens-100K, d = 64 | model | us | masked NDCG@10 |\n|---|---|---|---|")
    for architecture, window in windows.items():
        points: dict[str, list[tuple[float, Estimate]]] = {}
        for model in models(window):
            us = times[architecture, model.window, model.tight]
            quality = quality_of(RESULTS / f"personal-ml-100k-{architecture}.md", model.section, model.row)
            points.setdefault(model.series, []).append((us, quality))
            print(f"| {architecture} | {model.name} | {us:.2f} | {quality} |")
        css = dict(zip(points, ("other", "plain", "personal"), strict=True))
        ticks = [(us, f"{us:g}") for us in ((2.0, 4.0, 8.0) if architecture == "sasrec" else (0.5, 1.0, 2.0, 4.0))]
        series = [Series(name, css[name], values) for name, values in points.items()]
        title = f"masked NDCG@10, {'SASRec' if architecture == 'sasrec' else 'Caser'}"
        panels.append(Panel(title, "microseconds a rerank of 100 candidates", ticks, series, logarithmic=True, beside=False))
    if arguments.svg:
        note = "left of each line: a quarter of the channels on, 2 bits of {off, 8}; right: all of them"
        with atomic_writer(arguments.svg) as out:
            out.write(panels_chart(panels, "masked NDCG@10 against microseconds, all channels on and a quarter of them", note).encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--svg", type=Path)
    main(parser.parse_args())
