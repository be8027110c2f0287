"""The flow as one, simulated over days: clicks, requests, strategies, samples, training, health (docs/flow.md)."""

from chordkit.evaluation.flow.run import FlowOptions, run_flow
from chordkit.evaluation.flow.simulation import CONDITIONS, TRAFFIC, Clicks, Course, clicks_after, simulate
from chordkit.evaluation.flow.summary import Days, FlowSummary, Group, summarise_flow

__all__ = [
    "CONDITIONS",
    "TRAFFIC",
    "Clicks",
    "Course",
    "Days",
    "FlowOptions",
    "FlowSummary",
    "Group",
    "clicks_after",
    "run_flow",
    "simulate",
    "summarise_flow",
]
