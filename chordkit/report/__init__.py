"""The report of a run: one JSON document with a schema, and the pages drawn from it."""

from chordkit.report.bench_page import render_bench, render_history
from chordkit.report.gathering import gather_report, report_of_accuracy, report_of_evaluation
from chordkit.report.model import Report, load_json, save_json
from chordkit.report.page import render_html, save_html, save_markdown

__all__ = [
    "Report",
    "gather_report",
    "load_json",
    "render_bench",
    "render_history",
    "render_html",
    "report_of_accuracy",
    "report_of_evaluation",
    "save_html",
    "save_json",
    "save_markdown",
]
