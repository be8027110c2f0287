"""The cloud's part of the demo: strategies on request, and releases that reach phones stage by stage."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from chordkit import service
from chordkit.data import SplitPart
from chordkit.demo.service import ask_for_strategies, running_service
from chordkit.errors import MissingRuntimeError, ServiceError
from chordkit.hypernetwork import TrainedHypernetwork
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.quantization import MasterWeights, dequantize_table
from chordkit.report.model import Cloud, ServedStrategies

_ASKING = 200
"""Phones that ask for a strategy."""


def in_the_cloud(
    out: Path,
    personal: TrainedHypernetwork,
    part: SplitPart,
    files: tuple[Path, Path],
    bundles: Sequence[Path],
    keys: tuple[Path, Path],
    *,
    seed: int,
) -> tuple[Cloud | None, list[str]]:
    """Serve strategies to simulated phones over HTTP, and let a release reach them; what cannot be shown here is left out.

    Args:
        out: the demo's folder.
        personal: whose strategies are served.
        part: whose users ask.
        files: master and hypernetwork of ``personal``.
        bundles: what ships with the app, what is released first, and what is released then.
        keys: private and public, of strategies and bundles.
        seed: of the choice of users and phones.

    Returns:
        What came of it, and a note for each part that is missing.
    """
    strategies, notes = None, []
    try:
        strategies = _strategies(out / "cloud", personal, part, files, keys, seed)
    except (MissingRuntimeError, ServiceError) as error:
        notes.append(f"No service was shown: {error}.")
    return Cloud(strategies=strategies), notes


def _strategies(
    folder: Path, personal: TrainedHypernetwork, part: SplitPart, files: tuple[Path, Path], keys: tuple[Path, Path], seed: int
) -> ServedStrategies:
    service.require_packages()
    profiles = _profiles(personal.master, part, personal.options.pools, seed)
    with running_service(folder, *files, keys[0]) as url:
        served, _ = ask_for_strategies(url, keys[1], personal.master.fingerprint, profiles)
    return served


def _profiles(master: MasterWeights, part: SplitPart, pools: tuple[int, ...], seed: int) -> np.ndarray:
    """What phones of some users send: float32 ``[users, width]``, from the item table that phones have."""
    rows = part.first_rows
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(_ASKING, len(rows)), replace=False))
    table = torch.from_numpy(dequantize_table(master.embeddings["item_embedding"]))
    found: np.ndarray = pooled_profile(table, torch.from_numpy(part.recent(pools[-1])[chosen]), pools).numpy()
    return found
