"""The cloud's part of the demo: strategies on request, and releases that reach phones stage by stage."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from chordkit import release, service
from chordkit.data import SplitPart
from chordkit.demo.service import running_service
from chordkit.errors import MissingRuntimeError, ServiceError
from chordkit.export.bundle import BundleContents
from chordkit.hypernetwork import TrainedHypernetwork
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.quantization import MasterWeights, dequantize_table
from chordkit.report.model import Cloud

if TYPE_CHECKING:
    from chordkit.demo.rollout import Rollout

PHONES = 120
"""So many that the part of them with a bad release is enough to judge it by."""
_USERS = 200
"""Whose profiles phones send."""


def in_the_cloud(
    out: Path,
    personal: TrainedHypernetwork,
    part: SplitPart,
    files: tuple[Path, Path],
    contents: BundleContents,
    keys: tuple[Path, Path],
    phones: int,
    seed: int,
) -> tuple[Cloud | None, list[str]]:
    """Serve strategies to simulated phones over HTTP, and let releases of the model reach them; what cannot be shown here is left out.

    Args:
        out: the demo's folder.
        personal: whose strategies are served.
        part: whose users ask.
        files: master and hypernetwork of ``personal``.
        contents: what a release of the model has in it.
        keys: private and public, of strategies and bundles.
        phones: how many; 0 = none, and nothing is shown.
        seed: of the choice of users and phones.

    Returns:
        What came of it, and a note for each part that is missing.
    """
    if not phones:
        return None, []
    folder, rollout, notes = out / "cloud", None, []
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier demo, whose keys and phones are gone
    try:
        service.require_packages()
        try:
            rollout = _rollout(folder, contents, keys, seed, phones)
        except MissingRuntimeError as error:
            notes.append(f"No release was shown: {error}.")
        profiles = _profiles(personal.master, part, personal.options.pools, seed)
        cloud = _shown(folder, rollout, personal.master.fingerprint, profiles, files, keys, phones)
    except (MissingRuntimeError, ServiceError) as error:
        return None, [*notes, f"No service was shown: {error}."]
    return cloud, notes


def _rollout(folder: Path, contents: BundleContents, keys: tuple[Path, Path], seed: int, phones: int) -> "Rollout":
    release.require_packages()
    from chordkit.demo.rollout import Rollout

    return Rollout(folder, contents, keys, seed, phones)


def _shown(
    folder: Path,
    rollout: "Rollout | None",
    fingerprint: bytes,
    profiles: np.ndarray,
    files: tuple[Path, Path],
    keys: tuple[Path, Path],
    phones: int,
) -> Cloud:
    from chordkit.demo.asking import Asking

    with ExitStack() as stack:
        url = stack.enter_context(running_service(folder, files, keys[0], None if rollout is None else rollout.folder))
        asking = Asking(stack.enter_context(service.Client(url, public_keys=keys[1])), fingerprint, profiles)
        if rollout is not None:
            return rollout.run(asking)
        for phone in range(phones):
            asking.ask(phone)
        return Cloud(strategies=asking.told())


def _profiles(master: MasterWeights, part: SplitPart, pools: tuple[int, ...], seed: int) -> np.ndarray:
    """What phones of some users send: float32 ``[users, width]``, from the item table that phones have."""
    rows = part.first_rows
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(_USERS, len(rows)), replace=False))
    table = torch.from_numpy(dequantize_table(master.embeddings["item_embedding"]))
    found: np.ndarray = pooled_profile(table, torch.from_numpy(part.recent(pools[-1])[chosen]), pools).numpy()
    return found
