"""``evaluation.json`` as a report reads it: what was found, without how every number came to be."""

import os
from collections.abc import Sequence
from typing import Literal

from pydantic import ConfigDict

from chordkit.documents import Document, read_document
from chordkit.errors import InputError
from chordkit.estimate import Estimate
from chordkit.evaluation import Evaluation, Summary
from chordkit.report.model import Benefit, DatasetSummary, Headline, Personalisation, StrategyAccuracy

# The story first: the rivals of the same size, those of more bytes, and then what shows that strategies are personal.
_ORDER = ("own", "own_vector", "static", "static_vector", "uniform2", "fp32", "fp32_long", "fp32_vector", "start")


def budget_title(bits: float, widths: Sequence[int]) -> str:
    """Average bits and the widths they are spent on, in words."""
    return f"{bits:g} bits of {{{', '.join('off' if width == 0 else str(width) for width in widths)}}}"


class _Model(Document):
    # More stands in the file than a page shows.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class LineDocument(_Model):
    """One rival."""

    key: str
    label: str
    bits: float
    products: float
    phone_bytes: int
    wire_bytes: int
    values: dict[str, Estimate]


class DifferenceDocument(_Model):
    """One rival minus another."""

    first: str
    second: str
    measure: str
    users: str
    estimate: Estimate


class VerdictDocument(_Model):
    """What to ship, by validation items."""

    ship: str
    sentence: str


class SummaryDocument(_Model):
    """What an experiment found within one budget."""

    users: int
    seeds: int
    lines: list[LineDocument]
    differences: list[DifferenceDocument]
    between_users: float
    between_moments: float
    verdict: VerdictDocument

    @classmethod
    def of(cls, summary: Summary) -> "SummaryDocument":
        """A summary that was just made."""
        return cls.model_validate(summary.to_json())

    def difference(self, first: str, second: str, measure: str) -> Estimate:
        """Over all users.

        Raises:
            InputError: it was not measured.
        """
        for each in self.differences:
            if (each.first, each.second, each.measure, each.users) == (first, second, measure, "all"):
                return each.estimate
        raise InputError(f"evaluation: it does not tell {first} - {second} in {measure}; make it again with 'chordkit evaluate'")


class OptionsDocument(_Model):
    """How the personal strategies were trained."""

    average_bits: float
    widths: list[int]
    epochs: int

    @property
    def title(self) -> str:
        """The budget in words."""
        return budget_title(self.average_bits, self.widths)


class CaseDocument(_Model):
    """One budget."""

    options: OptionsDocument
    summary: SummaryDocument


class EvaluationDocument(_Model):
    """All budgets of one call."""

    format: Literal["chordkit-evaluation"]
    version: Literal[1]
    dataset: str
    fingerprint: str
    users: int
    items: int
    interactions: int
    architecture: str
    window: int
    seeds: list[int]
    held_out: int
    validation: int
    split_at: str | None = None
    cases: list[CaseDocument]

    @classmethod
    def of(cls, evaluation: Evaluation) -> "EvaluationDocument":
        """An evaluation that was just made."""
        return cls.model_validate(evaluation.to_json())

    @property
    def data(self) -> DatasetSummary:
        """What was asked about."""
        return DatasetSummary(
            name=self.dataset, users=self.users, items=self.items, interactions=self.interactions, fingerprint=self.fingerprint
        )

    def benefits(self) -> list[Benefit]:
        """One a budget."""
        return [
            Benefit(
                title=case.options.title,
                headline=headline(case.summary),
                strategy_accuracy=strategy_accuracy(case.summary),
                accuracy_protocol=self._protocol(case),
                personalisation=Personalisation(
                    users=case.summary.users,
                    mean_pairwise_difference=case.summary.between_users,
                    mean_difference_in_time=case.summary.between_moments,
                ),
            )
            for case in self.cases
        ]

    def _protocol(self, case: CaseDocument) -> str:
        seeds = f"seeds {', '.join(map(str, self.seeds))}" if len(self.seeds) > 1 else f"seed {self.seeds[0]}"
        where = f"at most the last {self.held_out} items test, and the {self.validation} before them chose the epoch"
        if self.split_at is not None:
            where = f"at most the first {self.held_out} items after the second moment of {self.split_at} test"
        return (
            f"{self.architecture}, {seeds}: of each of {case.summary.users:,} users {where}. Items that the user has seen do not "
            "compete. Every rival began with the same backbone and was trained with equal care; the phone sees "
            f"{self.window} items. What rows mean: docs/evaluation.md."
        )


def load_evaluation(path: str | os.PathLike[str]) -> EvaluationDocument:
    """Read an ``evaluation.json``.

    Raises:
        InputError: the file is missing, is not JSON, is of another version, or lacks what a report shows; the message names the field.
    """
    return read_document(path, EvaluationDocument, "evaluation", "make one with 'chordkit evaluate'")


def headline(summary: SummaryDocument) -> Headline:
    """Whether a personal strategy is worth it: validation decides, test items of everybody have to agree."""
    likelihood, ndcg = (summary.difference("own", "static", measure) for measure in ("masked_likelihood", "masked_ndcg10"))
    worth_it = summary.verdict.ship != "static" and likelihood.low > 0.0
    against = f"one static strategy of the same size, learned with equal care ({summary.users:,} users)"
    gain = f"{likelihood:+} nats an item in likelihood and {ndcg:+} in NDCG@10 among unseen items"
    if worth_it:
        sentence = f"Personal strategies gain {gain}, against {against}."
    else:
        sentence = f"A strategy is not worth it here; ship the static one. Personal strategies give {gain}, against {against}."
    return Headline(
        worth_it=worth_it,
        sentence=sentence,
        against=against,
        likelihood=likelihood,
        masked_ndcg10=ndcg,
        validation=summary.verdict.sentence,
    )


def strategy_accuracy(summary: SummaryDocument) -> list[StrategyAccuracy]:
    """Own strategy and everything it should beat, the most telling rivals first; how old strategies fare is told elsewhere."""
    fresh = [line for line in summary.lines if not line.key.startswith("own_age")]
    lines = sorted(fresh, key=lambda line: _ORDER.index(line.key) if line.key in _ORDER else len(_ORDER))

    def against(key: str, measure: str) -> Estimate | None:
        return None if key == "own" else summary.difference("own", key, measure)

    return [
        StrategyAccuracy(
            key=line.key,
            name=line.label,
            personal=line.wire_bytes > 0,
            average_bits=line.bits,
            products=line.products,
            phone_bytes=line.phone_bytes,
            wire_bytes=line.wire_bytes,
            masked_ndcg10=line.values["masked_ndcg10"],
            n100_ndcg10=line.values["n100_ndcg10"],
            likelihood=line.values["masked_likelihood"],
            own_minus_this=against(line.key, "masked_ndcg10"),
            own_minus_this_likelihood=against(line.key, "masked_likelihood"),
        )
        for line in lines
    ]
