"""The files that ``chordkit evaluate accuracy`` is given: whether they may be asked about a data set, and what they answer with."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chordkit.data import Dataset, SplitPart
from chordkit.errors import InputError, MissingRuntimeError
from chordkit.evaluation.contenders import Contender, of_artifact, of_backbone, of_hypernetwork
from chordkit.export.bundle import ArtifactEntry, Bundle
from chordkit.export.targets import find_target
from chordkit.hypernetwork import load_hypernetwork
from chordkit.quantization import MasterWeights
from chordkit.training import load_backbone

Source = str | os.PathLike[str]


@dataclass(frozen=True)
class Files:
    """Files, each checked against a data set when it is added.

    Attributes:
        dataset: the data that will be asked about.
        split: which items test, as :func:`chordkit.data.split_identity` tells it.
        seed: of who the other user is.
        notes: of single files.
    """

    dataset: Dataset
    split: Mapping[str, Any]
    seed: int
    notes: list[str] = field(default_factory=list)
    _silent: list[str] = field(default_factory=list)
    _masters: list[str] = field(default_factory=list)
    _makers: list[Callable[[SplitPart], list[Contender]]] = field(default_factory=list)

    def add_backbone(self, path: Source) -> None:
        """A trained backbone.

        Raises:
            InputError: it is of another catalogue, or has learned from the items that test.
        """
        backbone, provenance = load_backbone(path)
        self._require(path, backbone.config.items, provenance)
        self._makers.append(lambda part: of_backbone(Path(path).name.removesuffix(".safetensors"), backbone))

    def add_hypernetwork(self, path: Source, master_path: Source) -> None:
        """A hypernetwork and the master weights that its strategies belong to.

        Raises:
            InputError: as for a backbone; or it makes no strategies.
            StrategyError: the two do not belong together.
        """
        master = MasterWeights.load(master_path)
        hypernetwork, provenance = load_hypernetwork(path, master)
        self._require(path, master.items, provenance)
        self._masters.append(master.fingerprint.hex())
        name = Path(path).name.removesuffix(".safetensors")
        self._makers.append(lambda part: of_hypernetwork(name, hypernetwork, master, part, self.seed))

    def add_bundle(self, bundle: Bundle, artifacts: Sequence[str] | None = None) -> None:
        """An opened bundle; ``artifacts`` = the names of those that are asked, None = all whose runtime is installed.

        Raises:
            InputError: it numbers its items otherwise than the data set.
            MissingRuntimeError: the runtime of an artifact that was named is not installed.
        """
        if bundle.item_ids() != list(self.dataset.item_ids):
            raise InputError(
                f"{bundle.label}: its items are not those of {self.dataset.name}, or are numbered otherwise; "
                "give the prepared data set that it was made with"
            )
        self._know(Path(bundle.label).name, {"dataset_fingerprint": bundle.manifest.dataset.fingerprint})
        # A bundle does not tell it; its hypernetwork, where that was given as well, has.
        if bundle.manifest.backbone.fingerprint not in self._masters:
            self._silent.append(Path(bundle.label).name)
        chosen = bundle.manifest.artifacts if artifacts is None else [bundle.artifact_entry(name) for name in artifacts]
        entries = [entry for entry in chosen if self._can_run(entry, required=artifacts is not None)]
        self._makers.append(lambda part: [of_artifact(bundle, entry) for entry in entries])

    def remarks(self) -> list[str]:
        """What has to be known beside the numbers."""
        if not self._silent:
            return self.notes
        silent = (
            f"Not known is which items were held out when these were trained: {', '.join(self._silent)}. Where that were "
            "fewer than what tests here, the values are too good."
        )
        return [*self.notes, silent]

    def contenders(self, part: SplitPart) -> list[Contender]:
        """Of all files, in the order in which they were added, for the test items ``part``."""
        return [contender for make in self._makers for contender in make(part)]

    def _can_run(self, entry: ArtifactEntry, *, required: bool) -> bool:
        try:
            find_target(entry.target).prepare()
        except MissingRuntimeError as error:
            if required:
                raise
            self.notes.append(f"Artifact {entry.name} was left out: {error}.")
            return False
        return True

    def _require(self, path: Source, items: int, provenance: Mapping[str, Any]) -> None:
        if items != self.dataset.items:
            raise InputError(
                f"{path}: it knows {items:,} items and {self.dataset.name} has {self.dataset.items:,}; "
                "give the data set that it was trained on"
            )
        self._require_unseen(path, provenance)

    def _require_unseen(self, path: Source, provenance: Mapping[str, Any]) -> None:
        """Refuse a model that has learned from what tests; remember one that does not tell."""
        name, trained = Path(path).name, provenance.get("split")
        if not self._know(name, provenance):
            return
        if not isinstance(trained, dict):
            self._silent.append(name)
            return
        held_out, asked = trained.get("held_out"), self.split["held_out"]
        if trained.get("split_at") != self.split.get("split_at"):
            raise InputError(f"{path}: it was trained on another split of this data; give the --split-at that it was trained with, or none")
        if "split_at" not in self.split and isinstance(held_out, int) and held_out < asked:
            raise InputError(
                f"{path}: it was trained with --held-out {held_out}, so that it has learned from items that would test here; give "
                f"--held-out {held_out}, or train it with --held-out {asked}"
            )

    def _know(self, label: str, provenance: Mapping[str, Any]) -> bool:
        """Whether a model was trained on these data, as far as it tells; else that is noted."""
        if provenance.get("dataset_fingerprint", self.dataset.fingerprint) == self.dataset.fingerprint:
            return True
        self.notes.append(f"{label} was trained on other data than {self.dataset.name}: what tests here it may have learned from.")
        return False
