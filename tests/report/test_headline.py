"""What a report says first: the gain and against what; or that there is none, and what to ship then."""

import numpy as np
import pytest

from chordkit.evaluation import MEASURES, RowResult, SeedResult, summarise_seeds
from chordkit.hypernetwork import Diversity
from chordkit.report import evaluation_document
from chordkit.report.evaluation_document import SummaryDocument
from chordkit.report.model import Headline

USERS = 200


def headline(test: float, valid: float) -> Headline:
    """Of own strategies that are better than the static one by ``test`` and ``valid``, give or take a tenth from user to user."""
    random = np.random.default_rng(0)

    def values(shift: float) -> dict[str, np.ndarray]:
        return {name: (shift + 0.1 * random.standard_normal(USERS)).astype(np.float32) for name in MEASURES}

    rows = (
        RowResult("own", "own", True, 2.0, 0.25, 1000, 216, 0.5, 0.5, 1.0, 1.0, values(test), values(valid)),
        RowResult("static", "static", False, 2.0, 0.25, 1000, 0, 0.5, 0.5, 1.0, 1.0, values(0.0), values(0.0)),
    )
    result = SeedResult(0, rows, Diversity(USERS, 0.4, 0.2, 5, 0.5, 1.0, 0.0), np.full(USERS, 50))
    return evaluation_document.headline(SummaryDocument.of(summarise_seeds([result])))


def test_a_gain_is_told_with_its_interval_and_its_rival() -> None:
    found = headline(0.5, 0.5)
    assert found.worth_it and f"{found.likelihood:+} nats" in found.sentence and found.against in found.sentence
    assert "static" in found.against and "200 users" in found.against


# The standard error of a difference is 0.014 over the half that decides: half a nat is far from noise, and the seed of 0.0 is fixed.
@pytest.mark.parametrize(("test", "valid"), [(0.0, 0.0), (-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)])
def test_without_a_gain_on_both_the_static_one_is_to_be_shipped(test: float, valid: float) -> None:
    found = headline(test, valid)
    assert not found.worth_it
    assert found.sentence.startswith("A strategy is not worth it here; ship the static one.") and f"{found.likelihood:+}" in found.sentence
