"""Phones against a release channel: thousands of them, with every fault, for four months; careless ones, which the judge has to see; how
far a bad release gets before it is stopped; and what one look at a mirror costs.

    python benchmarks/release.py --phones 10000
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from chordkit.release.phone import Phone
from chordkit.release.simulation import END, FAULTS, Scenario, remembering
from chordkit.release.simulation.disk import SimulatedDisk
from chordkit.release.simulation.mirrors import Line, honest
from chordkit.release.simulation.stopping import Rollouts
from chordkit.release.stop import failing
from chordkit.release.words import PhoneFacts

RATES = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0)
STAGES = (0.01, 0.05, 0.2, 1.0)
FLEET, ROLLOUTS = 100_000, 200


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """As Markdown."""
    print("|", " | ".join(heads), "|")
    print("|", " | ".join("---" for _ in heads), "|")
    for row in rows:
        print("|", " | ".join(map(str, row)), "|")
    print(flush=True)


def live(scenario: Scenario, phones: int, visits: float, seed: int) -> None:
    """Four months of all phones."""
    begun = time.process_time()
    simulation = scenario.simulation(phones, visits, seed)
    scenario.run(simulation)
    tally, seconds = simulation.tally, time.process_time() - begun
    total = sum(tally.visits.values())
    print(f"{phones:,} phones, {total:,} visits, {seconds:.0f} s of a processor ({1000 * seconds / total:.2f} ms a visit)\n")
    table(("mirror", "visits"), ((kind, f"{count:,}") for kind, count in tally.visits.most_common()))
    table(("outcome", "visits"), ((kind, f"{count:,}") for kind, count in tally.outcomes.most_common()))
    adopted = sorted(tally.adopted | tally.failed)
    table(
        ("release", "phones that adopted it", "phones whose self-check failed"),
        ((number, f"{tally.adopted[number]:,}", f"{tally.failed[number]:,}") for number in adopted),
    )
    for stop in scenario.stops:
        print(f"release {stop.release} stopped on day {stop.day:.2f} at {stop.basis_points / 100:g} %: {stop.why}")
    print(f"power lost in {tally.lost:,} visits, a bit of a bundle lost before {tally.rotten:,}")
    print(f"wrongs: {dict(tally.wrongs) or 'none'}; up to date in the end: {tally.settled:,} of {phones:,}\n", flush=True)


def plant(scenario: Scenario, phones: int, visits: float, seed: int) -> None:
    """The same months with careless phones, one fault after the other; ten times as many where so few do not meet what it takes."""
    rows = []
    for fault in FAULTS:
        for count in (phones, 10 * phones):
            with fault.planted():
                simulation = scenario.simulation(count, visits, seed)
                scenario.replay(simulation)
            times = simulation.tally.wrongs[fault.shows]
            if times:
                break
        rows.append((fault.name, fault.shows, f"{count:,}", f"{times:,}", "yes" if times else "NO"))
    table(("left out", "the judge says", "phones", "times", "seen"), rows)


def reach(delay_h: float) -> None:
    """How far a bad release gets."""
    rollouts, rows = Rollouts(lambda failed, reports: failing(failed, reports, groups=2), delay_h=delay_h), []
    for rate in RATES:
        cells = []
        for stage in STAGES:
            random = np.random.default_rng(1)
            found = [rollouts.run(int(FLEET * stage), rate, random) for _ in range(ROLLOUTS)]
            stopped = sum(each.hours is not None for each in found) / ROLLOUTS
            reached = np.quantile([each.reached for each in found], (0.5, 0.95))
            cells.append(f"{reached[0]:,.0f} ({reached[1]:,.0f}), {100 * stopped:.0f} %")
        rows.append((f"{100 * rate:g} %", *cells))
    when = "at once" if not delay_h else f"{delay_h:g} h later on average"
    print(f"Of {FLEET:,} phones that look once in 24 h on average and report {when}: phones that a release reached before it was stopped,")
    print(f"median (95 %), and in how many of {ROLLOUTS} roll-outs it was.\n")
    table(("fails on", *(f"staged to {100 * stage:g} %" for stage in STAGES)), rows)


def cost(scenario: Scenario, looks: int = 300) -> None:
    """One look at a mirror, without anything remembered."""
    folder, facts = scenario.history.folders[-1], PhoneFacts("3.5.1", "arm64-v8a", ("native",), "large")
    app = replace(scenario.app, self_check=lambda opened, phone: True)
    rows = []
    for name, fresh in (("first look, and a bundle", True), ("a look without news", False)):
        disk, taken, received = SimulatedDisk(), [], 0
        Phone(app, facts, disk, lambda: b"i" * 16).update(Line(honest(folder)).fetch, END)
        for _ in range(looks):
            phone = Phone(app, facts, SimulatedDisk() if fresh else disk, lambda: b"i" * 16)
            line, begun = Line(honest(folder)), time.process_time()
            outcome = phone.update(line.fetch, END)
            taken.append(1000 * (time.process_time() - begun))
            received = line.received
        rows.append((name, outcome.kind, f"{np.median(taken):.2f}", f"{np.quantile(taken, 0.95):.2f}", f"{received:,}", len(line.asked)))
    table(("look", "outcome", "ms of a processor, median", "95 %", "bytes", "files asked for"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phones", type=int, default=10_000)
    parser.add_argument("--planted-phones", type=int, default=300)
    parser.add_argument("--visits", type=float, default=12, help="of a phone in the four months, on average")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for delay_h in (0.0, 24.0):
        reach(delay_h)
    with tempfile.TemporaryDirectory(prefix="chordkit-release-") as folder:
        scenario = Scenario(Path(folder))
        with remembering():
            live(scenario, options.phones, options.visits, options.seed)
            plant(scenario, options.planted_phones, options.visits, options.seed)
        cost(scenario)


if __name__ == "__main__":
    main()
