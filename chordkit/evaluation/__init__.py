"""What a personal model is worth: every rival on the same held-out items, with intervals, over several seeds."""

from chordkit.evaluation.evaluation import Case, Evaluation, run_evaluation
from chordkit.evaluation.experiment import ExperimentOptions, measure_models, run_experiment, train_models
from chordkit.evaluation.finetune import TunedLine
from chordkit.evaluation.latency import EngineLatency, measure_latency
from chordkit.evaluation.measure import Measured, measure
from chordkit.evaluation.results import RowResult, SeedResult
from chordkit.evaluation.retrieval import nearest_candidates, random_candidates
from chordkit.evaluation.rivals import Models, Rival, aged, rivals
from chordkit.evaluation.summary import HEADLINE, MEASURES, Difference, LengthGroup, Line, Summary, Verdict, summarise_seeds

__all__ = [
    "HEADLINE",
    "MEASURES",
    "Case",
    "Difference",
    "EngineLatency",
    "Evaluation",
    "ExperimentOptions",
    "LengthGroup",
    "Line",
    "Measured",
    "Models",
    "Rival",
    "RowResult",
    "SeedResult",
    "Summary",
    "TunedLine",
    "Verdict",
    "aged",
    "measure",
    "measure_latency",
    "measure_models",
    "nearest_candidates",
    "random_candidates",
    "rivals",
    "run_evaluation",
    "run_experiment",
    "summarise_seeds",
    "train_models",
]
