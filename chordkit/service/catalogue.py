"""The models of a folder, looked at again while the service runs: new ones come and old ones go without a gap."""

import os
from pathlib import Path

from chordkit.errors import ChordkitError, InputError
from chordkit.service.diary import Tell
from chordkit.service.model import HYPERNETWORK, MASTER, POOL, Model

Signature = tuple[tuple[int, int, int], ...]


class Catalogue:
    """Models by their fingerprint.

    A folder is a model, or its folders are; those whose name begins with a dot are not looked at, so that one can be filled in peace and
    renamed. A model that cannot be read leaves the one that came from its place before, until its files change.
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._folder, self._tell = folder, tell
        self._known: dict[Path, tuple[Signature, Model | None]] = {}
        self.models: dict[str, Model] = {}
        """Replaced as a whole, never changed: a request keeps what it found."""

    def refresh(self) -> bool:
        """Look at the folder; returns whether something changed. May take seconds: not for the event loop.

        Raises:
            InputError: there is no model, and never was one.
        """
        known: dict[Path, tuple[Signature, Model | None]] = {}
        problem = f"{self._folder}: there is no {MASTER} in it or in a folder in it"
        for place in self._places():
            signature = _signature(place)
            before = self._known.get(place)
            if before is not None and before[0] == signature:
                known[place] = before
                continue
            try:
                known[place] = signature, Model.load(place, self._tell)
            except (ChordkitError, OSError) as error:
                problem = str(error)
                known[place] = signature, None if before is None else before[1]
                self._tell("model refused", f"{problem} ({'what it held before is served on' if known[place][1] else 'it is not served'})")
        changed = known.keys() != self._known.keys() or any(known[place] != self._known[place] for place in known)
        models = {model.fingerprint.hex(): model for _, model in known.values() if model is not None}
        if not models:
            if not self.models:
                raise InputError(f"{problem}; give a folder with {MASTER} and {HYPERNETWORK}")
            if changed:
                self._tell("model refused", f"{problem}; what was served is served on")
            self._known = known
            return False
        for fingerprint in models.keys() - self.models.keys():
            self._tell("model served", f"backbone {fingerprint}")
        for fingerprint in self.models.keys() - models.keys():
            self._tell("model gone", f"backbone {fingerprint}")
        self._known, self.models = known, models
        return changed

    def _places(self) -> list[Path]:
        if (self._folder / MASTER).exists():
            return [self._folder]
        try:
            inner = sorted(each.name for each in os.scandir(self._folder) if not each.name.startswith(".") and each.is_dir())
        except OSError:
            return []
        return [self._folder / name for name in inner if (self._folder / name / MASTER).exists()]


def _signature(place: Path) -> Signature:
    found = []
    for name in (MASTER, HYPERNETWORK, POOL):
        try:
            status = (place / name).stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)
