"""The hypernetwork: from a user's profile to a strategy (the four stages of CHORD), and what that is worth."""

from chordkit.hypernetwork.diversity import Diversity, diversity
from chordkit.hypernetwork.inference import (
    make_importance,
    make_mean_strategy,
    make_static_strategy,
    make_strategies,
    make_user_vectors,
    personal_states,
    to_strategy,
    to_user_vector,
)
from chordkit.hypernetwork.maker import StrategyMaker
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import HypernetworkOptions, default_hypernetwork_options, demo_options
from chordkit.hypernetwork.profile import profile
from chordkit.hypernetwork.store import load_hypernetwork, parse_hypernetwork, save_hypernetwork
from chordkit.hypernetwork.trainer import TrainedHypernetwork, train_hypernetwork

__all__ = [
    "Diversity",
    "Hypernetwork",
    "HypernetworkOptions",
    "StrategyMaker",
    "TrainedHypernetwork",
    "default_hypernetwork_options",
    "demo_options",
    "diversity",
    "load_hypernetwork",
    "make_importance",
    "make_mean_strategy",
    "make_static_strategy",
    "make_strategies",
    "make_user_vectors",
    "parse_hypernetwork",
    "personal_states",
    "profile",
    "save_hypernetwork",
    "to_strategy",
    "to_user_vector",
    "train_hypernetwork",
]
