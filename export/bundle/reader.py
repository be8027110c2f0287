"""An opened bundle: views of its mapped file, and what is made of them when it is asked for."""

import mmap
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from chordkit.errors import BundleError, MasterError, StrategyError, UserVectorError
from chordkit.export.bundle import catalogue
from chordkit.export.bundle.manifest import ITEMS, MASTER, ArtifactEntry, Manifest, StrategyEntry, UserVectorEntry
from chordkit.export.bundle.recommend import Recommendations, recommend
from chordkit.export.parity import VectorSet, problem_with, read_vectors
from chordkit.export.targets import Runner, find_target, load_runner
from chordkit.patching import MasterFile
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, UserVector, decode, decode_user_vector

Entry = TypeVar("Entry", ArtifactEntry, StrategyEntry, UserVectorEntry)


class Bundle:
    """An opened bundle. Members are views of the file's mapping: nothing is copied until it is asked for.

    Use it as a context manager. A view that outlives the bundle keeps the mapping alive.

    Attributes:
        label: the path, for messages.
        manifest: the parsed manifest.
        size: bytes of the file.
        signature_checked: whether the signature was verified with a key.
    """

    def __init__(
        self,
        label: str,
        parsed: Manifest,
        members: dict[str, memoryview],
        whole: memoryview,
        signature_checked: bool,
        mapping: mmap.mmap | None,
    ) -> None:
        self.label = label
        self.manifest = parsed
        self.size = len(whole)
        self.signature_checked = signature_checked
        self._members = members
        self._whole = whole
        self._mapping = mapping
        self._master: MasterWeights | None = None
        self._artifacts = {entry.name: entry for entry in parsed.artifacts}
        self._strategies = {entry.name: entry for entry in parsed.strategies}
        self._user_vectors = {entry.name: entry for entry in parsed.user_vectors}
        self._channels = sum(layer.out_channels for layer in parsed.backbone.channels)

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the mapping back. Views that were handed out stay valid, and the file stays mapped until the last is gone."""
        self._members, self._whole, self._master = {}, memoryview(b""), None
        if self._mapping is not None:
            with suppress(BufferError):
                self._mapping.close()

    def file(self) -> memoryview:
        """All of the file, the bytes that were verified."""
        return self._whole

    def member(self, name: str) -> memoryview:
        """The bytes of a member.

        Raises:
            BundleError: there is none of this name.
        """
        try:
            return self._members[name]
        except KeyError:
            raise BundleError(f"{self.label}: the bundle has no member {name!r}; `chordkit bundle inspect` lists them") from None

    def master(self) -> MasterWeights:
        """The master weights; their arrays are views of the mapped file.

        Raises:
            BundleError: the member is not a master-weights file.
        """
        if self._master is None:
            try:
                self._master = MasterWeights.from_bytes(self.member(MASTER))
            except MasterError as error:
                raise BundleError(f"{self.label}: {MASTER}: {error}") from None
        return self._master

    def artifact_entry(self, name: str) -> ArtifactEntry:
        """What the manifest says of an artifact.

        Raises:
            BundleError: there is none of this name.
        """
        return self._entry("artifact", self._artifacts, name)

    def artifact(self, name: str) -> memoryview:
        """The file of an artifact. A native artifact without a file of its own is the master.

        Raises:
            BundleError: there is none of this name.
        """
        return self.member(self.artifact_entry(name).member)

    def patched(self, artifact: str, strategy: str | bytes) -> bytes:
        """The file of one user out of an int8 artifact of layout ``speed``, byte for byte the exported one (docs/patching.md).

        Raises:
            PatchError: the artifact carries no patch table.
            StrategyError: the strategy, given in its wire form and not by its name in the bundle, is malformed or of another backbone.
        """
        wire = self.strategy_bytes(strategy) if isinstance(strategy, str) else strategy
        return MasterFile(self.artifact(artifact)).patched(wire)

    def runner(self, entry: ArtifactEntry, threads: int = 1) -> Runner:
        """An artifact on its runtime; a target without files runs from the mapped master and the artifact's strategy.

        Raises:
            BundleError: the entry is not one of this bundle.
            CapabilityError: the target is unknown, its runtime refuses the file, or is older than those that the artifact runs on.
            MissingRuntimeError: the runtime is not installed.
        """
        find_target(entry.target).require_runtime(entry.runs_on, entry.name)
        wire, raw = None if entry.strategy is None else self.strategy_bytes(entry.strategy), self.member(MASTER)
        return load_runner(entry.target, self.artifact(entry.name), strategy=wire, candidates=entry.candidates, threads=threads, master=raw)

    def recommend(
        self, history: Iterable[str | int], k: int = 10, *, strategy: str | None = None, artifact: str | None = None, seen: bool = False
    ) -> Recommendations:
        """The best items of the whole catalogue after a history, in the owner's own ids.

        Args:
            history: item ids, oldest first, whole numbers standing for their digits; those that the catalogue does not have are left out
                and named in the answer.
            k: how many items, 1 or more.
            strategy: whose strategy and user vector, by its name in the bundle; None = an artifact that is nobody's.
            artifact: on which artifact; None = the first that fits and whose runtime is installed.
            seen: whether items of the history may come back.

        Raises:
            InputError: it is no list of ids, no item of it is known, ``k`` is below 1, or no artifact fits.
            BundleError: there is no artifact of this name.
            MissingRuntimeError: no runtime is installed that the artifacts that fit run on.
            CheckFailed: the artifact gives scores that are not finite.
        """
        return recommend(self, history, k, strategy=strategy, artifact=artifact, seen=seen)

    def strategy_bytes(self, name: str) -> bytes:
        """A strategy in its wire form, as a device adopts it.

        Raises:
            BundleError: there is none of this name.
        """
        return bytes(self.member(self._entry("strategy", self._strategies, name).member))

    def strategy(self, name: str) -> Strategy:
        """A strategy, decoded and checked against this bundle's backbone.

        Raises:
            BundleError: there is none of this name, or it is malformed or of another backbone.
        """
        fingerprint = bytes.fromhex(self.manifest.backbone.fingerprint)
        try:
            return decode(self.strategy_bytes(name), fingerprint=fingerprint, channels=self._channels)
        except StrategyError as error:
            raise BundleError(f"{self.label}: strategies/{name}.chrd: {error}") from None

    def user_vector_bytes(self, name: str) -> bytes:
        """A user vector in its wire form, as a device adopts it.

        Raises:
            BundleError: there is none of this name.
        """
        return bytes(self.member(self._entry("user vector", self._user_vectors, name).member))

    def user_vector(self, name: str) -> UserVector:
        """A user vector, decoded and checked against this bundle's backbone; ``values`` is what a runner takes.

        Raises:
            BundleError: there is none of this name, or it is malformed or of another backbone.
        """
        data, dim = self.user_vector_bytes(name), self.master().dim
        try:
            return decode_user_vector(data, fingerprint=bytes.fromhex(self.manifest.backbone.fingerprint), dim=dim)
        except UserVectorError as error:
            raise BundleError(f"{self.label}: user_vectors/{name}.chru: {error}") from None

    def _entry(self, kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
        try:
            return entries[name]
        except KeyError:
            known = ", ".join(entries) or "none"
            raise BundleError(f"{self.label}: the bundle has no {kind} {name!r}; it has: {known}") from None

    def item_ids(self) -> list[str]:
        """The data set's item ids by index; index 0 is padding.

        Raises:
            BundleError: the member is not a list of strings, one per item, no two of them the same.
        """
        return self._texts(ITEMS, catalogue.read_ids)

    def item_names(self) -> list[str]:
        """What people call the items, by index like :meth:`item_ids`, "" where one has no name; empty where the bundle has no names.

        Raises:
            BundleError: the member is not a list of texts, one per item, that can be shown.
        """
        words = self.manifest.words
        return [] if words is None or words.names is None else self._texts(words.names, catalogue.read_words)

    def item_categories(self) -> list[str]:
        """What the items are among ("Drama, War"); otherwise as :meth:`item_names`."""
        words = self.manifest.words
        return [] if words is None or words.categories is None else self._texts(words.categories, catalogue.read_words)

    def _texts(self, member: str, read: Callable[[bytes, int], list[str]]) -> list[str]:
        try:
            return read(bytes(self.member(member)), self.manifest.dataset.items)
        except ValueError as error:
            raise BundleError(f"{self.label}: {member} {error}; make the bundle anew") from None

    def vectors(self) -> VectorSet:
        """The test vectors.

        Raises:
            BundleError: the member is malformed or is not what the manifest announces.
        """
        announced = self.manifest.vectors
        vectors = read_vectors(self.member(announced.member), self.label)
        found = (len(vectors.histories), vectors.histories.shape[1], vectors.candidates.shape[1], tuple(sorted(vectors.scores)))
        dim = None if vectors.users is None else vectors.users.shape[1]
        known = (announced.count, announced.length, announced.candidates, tuple(sorted(announced.references)))
        if (found, dim) != (known, self.master().dim if self.manifest.user_vectors else None):
            raise BundleError(
                f"{self.label}: {announced.member} does not hold the test vectors that the manifest announces; make the bundle anew"
            )
        if problem := problem_with(vectors, self.manifest.dataset.items):
            raise BundleError(f"{self.label}: the test vectors cannot be used: {problem}; make the bundle anew")
        return vectors
