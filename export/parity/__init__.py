"""Parity: does an artifact score and rank as the PyTorch reference does, in numbers with stated tolerances?

Nothing here knows a target, and importing it needs neither torch nor a runtime: who compares on a device has none.
"""

from chordkit.export.parity.activations import (
    emulated_scores,
    engine_scores,
    exact_engine_scores,
    quantize_asymmetric,
    quantize_symmetric,
)
from chordkit.export.parity.best import Best, Expected, compare_best, depth_for, expected_of, run_best
from chordkit.export.parity.compare import Ids, ParityReport, Runner, Scores, ScoresFn, compare, parity, rows_of, run_all
from chordkit.export.parity.reference import reference_scores, references, reranker_scores
from chordkit.export.parity.tolerance import FP32_TOLERANCE, INT8_ACTIVATION_TOLERANCE, Tolerance
from chordkit.export.parity.vectors import VectorSet, draw, problem_with, read_vectors

__all__ = [
    "FP32_TOLERANCE",
    "INT8_ACTIVATION_TOLERANCE",
    "Best",
    "Expected",
    "Ids",
    "ParityReport",
    "Runner",
    "Scores",
    "ScoresFn",
    "Tolerance",
    "VectorSet",
    "compare",
    "compare_best",
    "depth_for",
    "draw",
    "emulated_scores",
    "engine_scores",
    "exact_engine_scores",
    "expected_of",
    "parity",
    "problem_with",
    "quantize_asymmetric",
    "quantize_symmetric",
    "read_vectors",
    "reference_scores",
    "references",
    "reranker_scores",
    "rows_of",
    "run_all",
    "run_best",
]
