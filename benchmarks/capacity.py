"""What a service, a nightly job and a release channel cost for so many users, on paper: measured figures times the assumptions below.

python benchmarks/capacity.py                     # prints the table of docs/operations.md
python benchmarks/capacity.py --users 5e6 --requests 4
"""

import argparse
import math
from dataclasses import dataclass, fields
from typing import Any

SIZES = (1e6, 1e7, 1e8, 1e9)
DAY, KB, MB, GB, TB = 86_400, 1e3, 1e6, 1e9, 1e12


@dataclass(frozen=True)
class Assumptions:
    """What the table stands on; :data:`HELP` says where each figure comes from."""

    requests: float = 1.0
    peak: float = 3.0
    load: float = 0.7
    answers: float = 8_369.0
    request_bytes: float = 1_400.0
    answer_bytes: float = 700.0
    strategy_bytes: float = 216.0
    bulk_us: float = 45.3
    bundle_kb: float = 269.0
    difference_kb: float = 75.0
    releases: float = 30.0
    whole: float = 0.1
    looks: float = 1.0
    metadata_kb: float = 4.0
    log_bytes: float = 260.0
    handshakes: float = 1_000.0
    uplink_gbit: float = 10.0
    sums: float = 84.0


HELP = {
    "requests": "requests for a strategy, a user and day (assumed)",
    "peak": "the busiest second, in mean ones (assumed: an evening of one time zone)",
    "load": "of a core's answers, that a core is planned for: p99 7 ms there (docs/service.md)",
    "answers": "answers a second of processor time (docs/service.md, a core of its own)",
    "request_bytes": "on the wire: 772 of a profile, headers and TLS (assumed)",
    "answer_bytes": "on the wire: 336 of an envelope, headers and TLS (assumed)",
    "strategy_bytes": "of a strategy at rest, 768 channels (README.md)",
    "bulk_us": "microseconds of processor time for a user's envelope in bulk (docs/bulk.md)",
    "bundle_kb": "KB of a bundle: master, MovieLens-100K's items, 64 test vectors, d = 64 (docs/delta.md)",
    "difference_kb": "KB from last night's of these bundles to today's (docs/delta.md)",
    "releases": "releases a month (assumed: nightly)",
    "whole": "of the downloads that need the whole bundle: new phones, phones that were off (assumed)",
    "looks": "looks at the channel's metadata, a user and day (assumed)",
    "metadata_kb": "KB of a look that finds something new: timestamp, snapshot, targets (assumed)",
    "log_bytes": "of a line of the access log (docs/service.md)",
    "handshakes": "TLS handshakes a second of the proxy's processor time, one a request (assumed: RSA 2048)",
    "uplink_gbit": "Gbit/s of one site's network (assumed)",
    "sums": "rows of reports that a release has at most (docs/service.md)",
}


def quantity(value: float, digits: int = 3) -> str:
    """``value`` to some digits, with commas and without an exponent."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 100 or rounded == int(rounded) else f"{rounded:g}"


def size(value: float) -> str:
    """Bytes in the unit that a person would say."""
    for unit, name in ((TB, "TB"), (GB, "GB"), (MB, "MB")):
        if value >= unit:
            return f"{quantity(value / unit)} {name}"
    return f"{quantity(value / KB)} KB"


def breaks_first(users: float, given: Assumptions) -> str:
    """What of one plain machine (eight cores, one uplink) does not do any more, in the order in which it goes."""
    peak = users * given.requests * given.peak / DAY
    mirror = _download(users, given) * given.peak * 8 / DAY / 1e9
    if mirror > given.uplink_gbit:
        return f"a site's uplink at the peak ({quantity(mirror, 2)} of {given.uplink_gbit:g} Gbit/s): bundles need a CDN"
    if peak > 8 * given.handshakes * given.load:
        return "eight cores of a proxy, by TLS handshakes: more proxies, or P-256 in place of RSA"
    if peak > given.handshakes * given.load:
        return "one core of the proxy, by TLS handshakes: `worker_processes auto`"
    return "nothing: a second machine is there for when the first one fails"


def _cores(users: float, given: Assumptions, each: float) -> str:
    """Cores that do ``each`` a second, at the planned load."""
    return quantity(max(1, math.ceil(users * given.requests * given.peak / DAY / (each * given.load))))


def _download(users: float, given: Assumptions) -> float:
    """Bytes a day that mirrors send."""
    phone = given.whole * given.bundle_kb + (1 - given.whole) * given.difference_kb
    return users * KB * (given.releases / 30 * phone + given.looks * given.metadata_kb)


def rows(sizes: tuple[float, ...], given: Assumptions) -> list[tuple[str, list[str]]]:
    """The table: what is told, and a cell for each number of users."""
    told: list[tuple[str, Any]] = [
        ("requests a second, mean", lambda n: quantity(n * given.requests / DAY)),
        ("requests a second, peak", lambda n: quantity(n * given.requests * given.peak / DAY)),
        ("cores of the service for the peak", lambda n: _cores(n, given, given.answers)),
        ("cores of the proxy for the peak", lambda n: _cores(n, given, given.handshakes)),
        ("core hours a day, service", lambda n: quantity(n * given.requests / given.answers / 3600)),
        ("core hours a night, bulk", lambda n: quantity(n * given.bulk_us / 1e6 / 3600)),
        ("to the service and back, a day", lambda n: size(n * given.requests * (given.request_bytes + given.answer_bytes))),
        ("from the mirrors, a day", lambda n: size(_download(n, given))),
        ("strategies at rest, if kept", lambda n: size(n * given.strategy_bytes)),
        ("access log, a day", lambda n: size(n * given.requests * given.log_bytes)),
        ("bundles on a mirror, a year", lambda n: size(12 * given.releases * KB * (given.bundle_kb + given.difference_kb))),
        ("registry, rows of reports, a year", lambda n: quantity(12 * given.releases * given.sums)),
        ("breaks first", lambda n: breaks_first(n, given)),
    ]
    return [(name, [cell(n) for n in sizes]) for name, cell in told]


def table(sizes: tuple[float, ...], given: Assumptions) -> str:
    """Markdown."""
    names = [f"{quantity(n / 1e9)} B" if n >= 1e9 else f"{quantity(n / 1e6)} M" for n in sizes]
    lines = ["| users | " + " | ".join(names) + " |", "|---|" + "---|" * len(sizes)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows(sizes, given)]
    return "\n".join(lines)


def assumptions(given: Assumptions) -> str:
    """Markdown: each with its option."""
    lines = ["| option | | |", "|---|---|---|"]
    lines += [f"| `--{each.name.replace('_', '-')}` | {getattr(given, each.name):g} | {HELP[each.name]} |" for each in fields(given)]
    return "\n".join(lines)


def main() -> None:
    """Print the table and what it assumes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=float, nargs="+", default=SIZES)
    for each in fields(Assumptions):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=float, default=each.default, help=HELP[each.name])
    given = vars(parser.parse_args())
    users = tuple(given.pop("users"))
    print(table(users, Assumptions(**given)), assumptions(Assumptions(**given)), sep="\n\n")


if __name__ == "__main__":
    main()
