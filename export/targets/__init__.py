"""Targets: what each runtime can run, how a model becomes its file, how the file is run, and how what it computes is judged.

A target is a folder here: :class:`Target` says what it has to state.
"""

from chordkit.export.targets.eager import EagerRunner
from chordkit.export.targets.ledger import Kind, Ledger, ideal_bytes
from chordkit.export.targets.profiles import Profile, all_profiles, artifact_name, find_profile, profiles_of
from chordkit.export.targets.registry import all_targets, bytes_of, find_target, load_runner, lower, support_matrix_markdown
from chordkit.export.targets.runner import Best, Runner, first_line
from chordkit.export.targets.runtimes import Stretch, rows_like, runtime_range, stretches
from chordkit.export.targets.target import Capability, Source, Target

__all__ = [
    "Best",
    "Capability",
    "EagerRunner",
    "Kind",
    "Ledger",
    "Profile",
    "Runner",
    "Source",
    "Stretch",
    "Target",
    "all_profiles",
    "all_targets",
    "artifact_name",
    "bytes_of",
    "find_profile",
    "find_target",
    "first_line",
    "ideal_bytes",
    "load_runner",
    "lower",
    "profiles_of",
    "rows_like",
    "runtime_range",
    "stretches",
    "support_matrix_markdown",
]
