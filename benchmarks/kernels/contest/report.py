"""What is printed: the machine, a table a comparison, and one line a comparison at the end."""

import contextlib
import sys
from importlib import metadata
from typing import Any

from chordkit.runtime_bench import machine

MODEL_BARS = {"sasrec": {"bar": 0.25, "goal": 0.17}, "caser": {"bar": 0.50}}
"""At most this much of the fastest peer's time, at 100 candidates and more; other models than these: LARGE_BAR."""
LARGE_BAR = 0.40
COLD_BAR = 0.35
LINEAR_BAR = 1 / 0.9
"""A layer is never slower than 0.9 times the best peer's speed."""


def progress(text: str) -> None:
    """Say on stderr what is being done."""
    print(f"... {text}", file=sys.stderr, flush=True)


def header(cpu: int | None, rounds: int) -> dict[str, Any]:
    """The machine, the versions, the protocol; ``cases`` is empty."""
    described = machine.describe(cpu).model_dump() | {"load_average": machine.state(cpu).load_average}
    with contextlib.suppress(metadata.PackageNotFoundError):
        described["versions"]["openvino"] = metadata.version("openvino")
    return {"machine": described, "rounds": rounds, "cases": []}


def header_text(result: dict[str, Any]) -> str:
    """Two lines about the machine and the versions."""
    about = result["machine"]
    load = ", ".join(f"{value:.2f}" for value in about["load_average"])
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['cpu']}, {about['cores']} cores, pinned to {about['pinned_cpu']}, load {load}; {' '.join(about['flags'])}\n"
        f"{versions}; Python {about['python']}; commit {about['commit']}{' and changes' if about['commit_dirty'] else ''}\n"
        f"us a call; {result['rounds']} rounds; ratio: to the fastest peer, [95 % interval]; spread: slow over fast tenth of rounds"
    )


def title(case: dict[str, Any]) -> str:
    """What a comparison is about."""
    if case["level"] == "model":
        return f"{case['model']}, {case['candidates']} candidates, {case['history']} history"
    return f"linear {case['rows']} x {case['in']} x {case['out']}, {case['bits']}"


def case_text(case: dict[str, Any]) -> str:
    """The table of one comparison."""
    cold = any("cold_p50_us" in row for row in case["contenders"])
    lines = [
        f"\n{title(case)}",
        f"  {'':70s} {'p10':>9s} {'p50':>9s} {'p90':>9s} {'n':>6s} spread  ratio" + (" " * 20 + "cold p50  ratio" if cold else ""),
    ]
    for row in case["contenders"]:
        latency, ratio = row["latency"], row["ratio"]
        told = "" if ratio is None else f"{ratio['value']:5.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
        line = (
            f"  {row['name']:70s} {row['p10_us']:9.1f} {latency['p50_us']:9.1f} {latency['p90_us']:9.1f} {latency['n']:6d} "
            f"{latency['block_spread']:6.0%}  {told:22s}"
        )
        if cold:
            line += f" {row['cold_p50_us']:9.1f}  " + ("" if row["cold_ratio"] is None else f"{row['cold_ratio']['value']:.3f}")
        if row["other_threads"] > 0.1:
            line += f"  ({row['other_threads']:.0%} in other threads)"
        lines.append(line.rstrip())
    lines += [
        f"  {row['name']} of {row['over']['name']} ({case['before']}): {over_text(row['over'])}"
        for row in case["contenders"]
        if "over" in row
    ]
    lines += [f"  not measured: {name}: {reason}" for name, reason in case["missing"].items()]
    lines.append(f"  {verdict(case)}")
    return "\n".join(lines)


def over_text(over: dict[str, Any]) -> str:
    """The ratios to another revision."""
    return ", ".join(f"{kind} {_within(of)}" for kind, of in over.items() if kind != "name")


_OURS = {"model": "chordkit prepared", "linear": "chordkit AUTO (C call)"}
"""The row that is judged: bound as the peers are, in the form that a user gets without choosing."""
_COLD = {"model": "chordkit C call", "linear": _OURS["linear"]}
"""The row that is judged cold, where code of Python's would count that the peers' bare calls have not."""


def verdict(case: dict[str, Any]) -> str:
    """Who is the fastest peer, how we stand to it, and whether the bar is met."""
    rows = {row["name"]: row for row in case["contenders"]}
    ours, cold = rows[_OURS[case["level"]]], rows[_COLD[case["level"]]].get("cold_ratio")
    if ours["ratio"] is None:
        return "no peer was measured"
    value, peer = ours["ratio"]["value"], case["fastest_peer"]
    if case["level"] == "model":
        bars = MODEL_BARS.get(case["model"], {"bar": LARGE_BAR})
        judged = [f"{name} {limit} {'met' if value <= limit else 'MISSED'}" for name, limit in bars.items()]
        if cold:
            reached = "met" if cold["value"] <= COLD_BAR else "MISSED"
            judged.append(f"cold, C call {_within(cold)} x {case['fastest_peer_cold']}, bar {COLD_BAR} {reached}")
        judged += [f"now / before {over_text(row['over'])}" for row in case["contenders"] if "over" in row]
    else:
        judged = [f"at most {LINEAR_BAR:.2f} {'met' if value <= LINEAR_BAR else 'MISSED'}"]
        if cold:
            judged.append(f"cold {cold['value']:.2f} x {case['fastest_peer_cold']}")
    noisy = [row["name"] for row in case["contenders"] if row["reasons"] and row["name"] in (ours["name"], peer)]
    if noisy:
        judged.append(f"NOT COMPARABLE, measure again on a quiet machine (spread of {' and of '.join(noisy)})")
    return f"=> {ours['name']}: {_within(ours['ratio'])} x {peer}; {', '.join(judged)}"


def summary_text(cases: list[dict[str, Any]]) -> str:
    """A table of the models, and one line a layer."""
    lines = ["\nin short\n"]
    models = [case for case in cases if case["level"] == "model" and case["fastest_peer"] is not None]
    before = next((case["before"] for case in models if case["before"]), None)
    if models:
        columns = ["model, candidates, history", "us", "fastest file of all peers", "ratio", "cold, C call, us", "fastest file", "ratio"]
        columns += [f"now / {before}, from C", "cold"] if before else []
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for case in models:
        rows = {row["name"]: row for row in case["contenders"]}
        ours, cold, peer, cold_peer = (
            rows[name] for name in (_OURS["model"], _COLD["model"], case["fastest_peer"], case["fastest_peer_cold"])
        )
        cells = [
            title(case),
            f"{ours['latency']['p50_us']:.1f}",
            f"{peer['name']}: {peer['latency']['p50_us']:.1f}",
            _within(ours["ratio"]),
        ]
        cells += [f"{cold['cold_p50_us']:.0f}", f"{cold_peer['name']}: {cold_peer['cold_p50_us']:.0f}", _within(cold["cold_ratio"])]
        cells += [_within(row["over"][kind]) for row in rows.values() if "over" in row for kind in ("warm", "cold")]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"  {title(case):42s} {verdict(case)}" for case in cases if case["level"] == "linear"]
    return "\n".join(lines)


def _within(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
