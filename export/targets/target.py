"""What a target is: a runtime that chordkit exports to, in one class, in a folder of its own.

:mod:`chordkit.export.targets.registry` finds the folders. A combination that a target's capability row does not name is refused before
anything is lowered, with the reason; what it names is proven on the real runtime (``tests/conformance``).
"""

import abc
import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CapabilityError, MissingRuntimeError, RuntimeVersionWarning
from chordkit.export.artifact import Activations, Artifact, ArtifactSpec, Layout, Precision, RuntimeRange, version_numbers
from chordkit.export.parity import FP32_TOLERANCE, INT8_ACTIVATION_TOLERANCE, ScoresFn, Tolerance, VectorSet, emulated_scores
from chordkit.export.targets.ledger import Ledger
from chordkit.export.targets.profiles import Profile, find_profile, profiles_of
from chordkit.export.targets.runner import Runner

if TYPE_CHECKING:
    from chordkit.backbones import Backbone
    from chordkit.quantization import MasterWeights

Source: TypeAlias = "Backbone | tuple[MasterWeights, np.ndarray]"
"""What an artifact is made from: a float backbone, or master weights with widths uint8 ``[channels]``."""

ALL_PRECISIONS = tuple(Precision)
QUANTISED = (Precision.INT8, Precision.STRATEGY)


@dataclass(frozen=True)
class Capability:
    """What one target can run.

    Attributes:
        runtime: package and version that runs the files, and that they are tested with; None = no package.
        extra: chordkit's installation extra that brings it.
        suffix: of its files; None = it has no file of its own and runs from the master weights and a strategy.
        operators: custom operators that a program calls, by name; the library that has them must be loaded first.
        backbones: architectures that it knows; None = every one whose graph it can lower.
        precisions: what the weights may be.
        stored_bits: width of a channel -> bits an element takes in the file.
        activations: with what quantised layers may compute; the first is the default.
        user_vector: whether a user vector can be an input.
        top: whether a file can choose the best itself, also of the whole catalogue.
        batch: whether a file can take several histories a call.
        layouts: how codes can lie in its files; the first is the default.
        leaves_out: whether files of the layout ``size`` are without the channels that are off, as far as their readers can do without
            (:mod:`chordkit.export.program.off_channels`).
        master: whether its files are called with the master weights, which are not in them.
        refusals: reason for what is missing, by the name of the missing thing.
        computing: what the runtime makes of quantised weights, by the activations that they meet.
        note: one sentence for the support matrix.
    """

    runtime: tuple[str, str] | None
    extra: str | None
    suffix: str | None
    precisions: tuple[Precision, ...]
    stored_bits: Mapping[int, int]
    activations: tuple[Activations, ...]
    note: str
    user_vector: bool = False
    top: bool = False
    batch: bool = False
    layouts: tuple[Layout, ...] = ("size",)
    leaves_out: bool = False
    master: bool = False
    operators: tuple[str, ...] = ()
    backbones: tuple[str, ...] | None = None
    refusals: Mapping[str, str] | None = None
    computing: Mapping[str, str] | None = None

    def reason(self, missing: str) -> str:
        """Why ``missing`` is not there."""
        return (self.refusals or {}).get(missing, "it has no form for it")


class Target(abc.ABC):
    """One runtime: what it can run, how a model becomes its file, how the file is run, and how what it computes is judged.

    A subclass states :attr:`name`, :attr:`capability`, :meth:`lower` and :meth:`load`; the rest has defaults.

    Attributes:
        name: as on the command line and in a manifest.
        capability: what it can run.
        imports: modules of the runtime, for whoever times loading without importing.
        covers_for: the target that does the same better for the backbones that it knows; this one is for all the others.
        traced: whether a program of ``torch.export`` is what it lowers; else it takes the master weights and a strategy as they are.
        lowered_form: what :meth:`lowered` runs, in a few words; None = there is nothing between the model and the file that can be run.
    """

    name: ClassVar[str]
    capability: ClassVar[Capability]
    imports: ClassVar[tuple[str, ...]] = ()
    covers_for: ClassVar[str | None] = None
    traced: ClassVar[bool] = True
    lowered_form: ClassVar[str | None] = None

    def __str__(self) -> str:
        return self.name

    @abc.abstractmethod
    def lower(self, spec: ArtifactSpec, source: Source) -> bytes:
        """The file of a model that :meth:`check` has let pass. The same arguments give the same bytes.

        Raises:
            CapabilityError: the model uses an operator that has no lowering.
            MissingRuntimeError: a package is not installed.
        """

    @abc.abstractmethod
    def load(
        self, data: bytes | memoryview, *, strategy: bytes | None, candidates: int, threads: int, master: bytes | memoryview | None
    ) -> Runner:
        """The runner of an artifact.

        Args:
            data: the file; the master weights for a target without files.
            strategy: of the artifact, in its wire form; None = int8 everywhere. A file has its strategy in it.
            candidates: ids scored per call; fixed in a file.
            threads: of the runtime.
            master: the master weights, which a file whose :attr:`Capability.master` says so is called with; None = not at hand.

        Raises:
            CapabilityError: the runtime refuses the file, or needs the master weights and has none.
            MissingRuntimeError: the runtime is not installed.
        """

    def lowered(self, spec: ArtifactSpec, source: Source) -> ScoresFn | None:
        """Scores of the model as it is lowered and not yet serialised, without the target's runtime; None: see :attr:`lowered_form`.

        Arguments and errors as those of :meth:`lower`.
        """
        return None

    def problem_with_file(self, data: memoryview) -> str | None:
        """Why these bytes cannot be a file of this target, told without its runtime, or None; where it tells no file from another, None."""
        return None

    def before_patch_table(self, size: int) -> bytes | None:
        """What a file needs before ``size`` bytes at its end that its runtime passes over; None = it has no place for them."""
        return None

    def account(self, data: memoryview, ledger: Ledger) -> None:
        """Say in ``ledger`` what the bytes of one of its files are for (:func:`bytes_of`); what it does not say is the graph's.

        Raises:
            CapabilityError: nobody has written down how its files are built.
            InputError: the file is damaged.
        """
        raise CapabilityError(f"{self}: where the bytes of its files go is not known; ask for other targets")

    def problem_with_constants(self, data: bytes, master: "MasterWeights", widths: np.ndarray) -> str | None:
        """Which of the master's numbers a file of this target lacks, as the end of a sentence, or None; by default nobody looks."""
        return None

    def tolerance(self, activations: Activations) -> Tolerance:
        """What an artifact may differ from the reference by."""
        return FP32_TOLERANCE if activations == "fp32" else INT8_ACTIVATION_TOLERANCE

    def emulate(
        self,
        activations: Activations,
        master: "MasterWeights",
        widths: np.ndarray | None,
        vectors: VectorSet,
        layout: Layout = "size",
    ) -> NDArray[np.floating] | None:
        """What an artifact with 8-bit activations should compute: scores of the first of ``vectors``; None for float activations.

        By default the reference with activations quantised per row, with a zero point, in front of every quantised layer.
        """
        from chordkit.backbones import from_master
        from chordkit.export.program import is_spelled_out

        if activations == "fp32":
            return None
        quantised = [name for name in master.layers if not is_spelled_out(name)]
        return emulated_scores(from_master(master, widths), layers=quantised)(*vectors.inputs)

    def knows(self, architecture: str) -> bool:
        """Whether it claims a backbone."""
        return self.capability.backbones is None or architecture in self.capability.backbones

    def check(
        self,
        architecture: str,
        precision: Precision,
        *,
        activations: Activations | None = None,
        widths: np.ndarray | None = None,
        user_vector: bool = False,
        runtime: str | None = None,
        layout: Layout | None = None,
    ) -> Activations:
        """Refuse what this target cannot run; gives the activations that are meant.

        Args:
            architecture: of the backbone, as in its configuration.
            precision: of the weights.
            activations: None = the default.
            widths: the channels' widths, for ``int8`` and ``strategy``.
            user_vector: whether it is to take a user vector.
            runtime: name of a profile; None = the newest runtime.
            layout: how the codes lie; None = the default.

        Raises:
            CapabilityError: the combination does not work; the sentence names it and the reason.
        """
        can = self.capability
        if not self.knows(architecture):
            reason, known = can.reason("backbone"), " or ".join(can.backbones or ())
            raise CapabilityError(f"{self}: the backbone {architecture!r} is not supported: {reason}; use {known}")
        if precision not in can.precisions:
            reason = can.reason(f"precision {precision}")
            raise CapabilityError(f"{self}: precision {precision} is not supported: {reason}; use {' or '.join(can.precisions)}")
        profile = self.profile(runtime)
        possible = can.activations if profile is None else profile.activations
        activations = activations or possible[0]
        if profile is not None and activations in can.activations and activations not in possible:
            raise CapabilityError(
                f"{profile.name}: {activations} activations are not supported: {profile.why}; use {' or '.join(possible)}"
            )
        if activations not in can.activations:
            reason = can.reason(activations)
            raise CapabilityError(f"{self}: {activations} activations are not supported: {reason}; use {' or '.join(can.activations)}")
        if precision is Precision.FP32 and activations == "int8":
            raise CapabilityError(f"{self}: an fp32 artifact has no int8 activations; use precision int8 or strategy")
        if user_vector and not can.user_vector:
            reason = can.reason("user vector")
            raise CapabilityError(f"{self}: a user vector is not supported: {reason}; leave it out, or use another target")
        if precision is not Precision.FP32:
            self._check_layout(profile, layout)
        if widths is not None:
            self._check_widths(precision, np.asarray(widths))
        return activations

    def settle(self, spec: ArtifactSpec, architecture: str, widths: np.ndarray | None = None) -> ArtifactSpec:
        """``spec`` with the activations and the layout that are meant, once :meth:`check` has let it pass; fp32 has no codes to lay.

        Raises:
            CapabilityError: this target, or that version of its runtime, cannot run it.
        """
        activations = self.check(
            architecture,
            spec.precision,
            activations=spec.activations,
            widths=widths,
            user_vector=spec.user_vector,
            runtime=spec.runtime,
            layout=spec.layout,
        )
        self.check_shape(spec)
        layout = "size" if spec.precision is Precision.FP32 else spec.layout or self._layouts(self.profile(spec.runtime))[0]
        return replace(spec, activations=activations, layout=layout)

    def check_shape(self, spec: ArtifactSpec | Artifact) -> None:
        """Refuse what of a call's shape this target cannot have: how many answers, how many histories.

        Raises:
            CapabilityError: it cannot; the sentence has the mend.
        """
        can = self.capability
        if spec.top is not None and not can.top:
            wanted = f"top {spec.top}{' of the whole catalogue' if spec.catalogue else ''}"
            raise CapabilityError(f"{self}: {wanted} is not supported: {can.reason('top')}; leave it out, and sort the scores")
        if spec.batch != 1 and not can.batch:
            raise CapabilityError(f"{self}: a batch of {spec.batch} is not supported: {can.reason('batch')}; call it for each history")

    def profile(self, runtime: str | None) -> Profile | None:
        """The profile called ``runtime``, which must be one of this target; None for None.

        Raises:
            CapabilityError: there is none, or it is another target's.
        """
        if runtime is None:
            return None
        profile = find_profile(runtime)
        if profile.target != self.name:
            own = ", ".join(each.name for each in profiles_of(self.name)) or "none"
            raise CapabilityError(f"{self}: {runtime} is a runtime of {profile.target}; this target has {own}")
        return profile

    def _layouts(self, profile: Profile | None) -> tuple[Layout, ...]:
        return self.capability.layouts if profile is None else profile.layouts

    def _check_layout(self, profile: Profile | None, layout: Layout | None) -> None:
        layouts = self._layouts(profile)
        if layout is not None and layout not in layouts:
            who, reason = (self.name, self.capability.reason("layout")) if profile is None else (profile.name, profile.why)
            raise CapabilityError(f"{who}: layout {layout} is not supported: {reason}; use {' or '.join(layouts)}")

    def _check_widths(self, precision: Precision, widths: np.ndarray) -> None:
        unknown = set(np.unique(widths).tolist()) - set(self.capability.stored_bits)
        if unknown:
            allowed = ", ".join(map(str, self.capability.stored_bits))
            raise CapabilityError(f"{self}: channels of {min(unknown)} bits cannot be stored; use {allowed}")
        if precision is Precision.INT8 and (widths != 8).any():
            raise CapabilityError(f"{self}: precision int8 was asked for, but some channels have other widths; use strategy")

    def required_runtime(self) -> str | None:
        """The runtime that the files are tested with, as ``package==version``; None where no package is needed."""
        return None if self.capability.runtime is None else "==".join(self.capability.runtime)

    def installed(self) -> str | None:
        """The installed version of the runtime, or None when it is missing (or no package is needed)."""
        if self.capability.runtime is None:
            return None
        try:
            return metadata.version(self.capability.runtime[0])
        except metadata.PackageNotFoundError:
            return None

    def in_use(self) -> tuple[str, str] | None:
        """Package and version of the runtime that loads files here: its own, else an older one of another name; None = there is none."""
        if self.capability.runtime is None:
            return None
        for package in dict.fromkeys((self.capability.runtime[0], *(profile.package for profile in profiles_of(self.name)))):
            with contextlib.suppress(metadata.PackageNotFoundError):
                return package, metadata.version(package)
        return None

    def require_runtime(self, runs_on: RuntimeRange | None, artifact: str) -> None:
        """Refuse to load an artifact on a runtime that is older than those that it runs on; warn of one that it was never run on.

        A package that has taken another's place runs that one's files.

        Args:
            runs_on: of the artifact; None = nothing is known.
            artifact: its name, for the sentence.

        Raises:
            CapabilityError: the runtime that is installed is too old.
        """
        used = self.in_use()
        if runs_on is None or used is None or self.capability.runtime is None:
            return
        package, version = used
        own = self.capability.runtime[0]
        if package != runs_on.package and package == own:
            return
        fitting = [profile.name for profile in profiles_of(self.name) if profile.has(package, version)]
        found = f"artifact {artifact} runs on {runs_on}, and {package} {version} is installed"
        if package != runs_on.package or version_numbers(version) < version_numbers(runs_on.oldest):
            export = f"export it with --runtime {fitting[-1]}, or " if fitting else ""
            raise CapabilityError(f"{self}: {found}; {export}pip install '{runs_on.package}>={runs_on.oldest}'")
        if version_numbers(version) > version_numbers(runs_on.newest):
            sentence = f"{self}: {found}, which it was never run on; `chordkit validate` shows whether it is right there"
            warnings.warn(sentence, RuntimeVersionWarning, stacklevel=2)

    def requires(self) -> dict[str, str]:
        """What an artifact made here needs, with versions: its runtime as far as it is installed."""
        package = "chordkit" if self.capability.runtime is None else self.capability.runtime[0]
        try:
            return {package: metadata.version(package)}
        except metadata.PackageNotFoundError:
            return {}

    def prepare(self) -> None:
        """See that this machine can make and run artifacts; whoever is about to compute for minutes asks first.

        Raises:
            MissingRuntimeError: it cannot, with the mend.
        """
        if self.capability.runtime is not None and self.in_use() is None:
            raise self.missing_runtime()

    def missing_runtime(self, package: str | None = None) -> MissingRuntimeError:
        """The error to raise when the runtime (or another package that it needs) cannot be imported."""
        package = package or (self.capability.runtime[0] if self.capability.runtime else self.name)
        return MissingRuntimeError(f"{self}: the package {package} is not installed; pip install 'chordkit[{self.capability.extra}]'")
