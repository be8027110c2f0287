"""How the models were trained: the backbone's accuracy, and the course of every training whose log is there."""

from collections.abc import Sequence

from markupsafe import Markup

from chordkit.report import charts
from chordkit.report.model import Report, TrainingLog
from chordkit.report.parts import Cell, Chart, Charts, Part, Section, Table, Words, estimate_cell, without_empty_columns


def backbone_section(report: Report) -> Section:
    """The backbone as it was trained, by three yardsticks."""
    rows = [
        [
            Cell(row.protocol),
            estimate_cell(row.ndcg10),
            estimate_cell(row.hr10),
            *(Cell(f"{each.value:.4f}") for each in (row.ndcg5, row.hr5)),
        ]
        for row in report.backbone_accuracy
    ]
    text = (
        'The same test items. "Full" ranks the target among all items, "masked" leaves out items already seen, "sampled" ranks it among '
        "100 random ones: three yardsticks."
    )
    table = Table("The backbone that all began with, FP32 at its long window", ("protocol", "NDCG@10", "HR@10", "NDCG@5", "HR@5"), rows)
    return Section("backbone", "How good is the backbone?", [Words(text, dim=True), table] if rows else [])


def training_section(report: Report) -> Section:
    """Loss and validation of every training, epoch by epoch."""
    logs = [log for log in report.trainings if log.epochs]
    parts: list[Part] = []
    if logs:
        parts = [_summary(logs), Charts([_curve(log) for log in logs])]
    return Section("training", "How did the training go?", parts)


def _summary(logs: Sequence[TrainingLog]) -> Table:
    rows = []
    for log in logs:
        kept = next((epoch for epoch in log.epochs if epoch.epoch == log.best), log.epochs[-1])
        numbers = [kept.valid_ndcg10, kept.valid_likelihood, kept.loss]
        rows.append(
            [
                Cell(log.name, log.architecture),
                Cell(f"{log.best + 1} of {len(log.epochs)}"),
                *(Cell("" if number is None else f"{number:.4f}") for number in numbers),
            ]
        )
    heads = ("training", "epoch that was kept", "NDCG@10, validation", "log likelihood, validation", "loss")
    return without_empty_columns(Table("Every training, at the epoch that was kept", heads, rows))


def _curve(log: TrainingLog) -> Chart:
    by_likelihood = all(epoch.valid_likelihood is not None for epoch in log.epochs)
    judged = [(epoch.epoch + 1, epoch.valid_likelihood if by_likelihood else epoch.valid_ndcg10) for epoch in log.epochs]
    points = [(float(at), value) for at, value in judged if value is not None]
    what = "log likelihood, validation" if by_likelihood else "NDCG@10, validation"
    if not points:
        points, what = [(float(epoch.epoch + 1), epoch.loss) for epoch in log.epochs], "loss"
    svg = charts.curve_chart(points, float(log.best + 1), f"{what}, epoch by epoch, of {log.name}")
    return Chart(log.name, f"{what}, by epoch; the ring is the epoch that was kept.", Markup(svg))
