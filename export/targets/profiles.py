"""Runtimes that people have, older ones among them: what each computes correctly, and which of its versions were run.

A profile is one row of data. Its versions were found by running files on each of them, not by reading release notes
(``docs/targets/runtimes.md``).
"""

from dataclasses import dataclass

from chordkit.errors import CapabilityError
from chordkit.export.artifact import Activations, ArtifactSpec, Layout, RuntimeRange, version_numbers


@dataclass(frozen=True)
class Profile:
    """One runtime in a range of its versions.

    Attributes:
        name: as in ``chordkit export --runtime``.
        target: whose files it runs.
        package: that brings it, in a package index.
        oldest: version that runs the files.
        newest: version that the files were run with.
        layouts: how codes may lie in a file; the first is the default.
        activations: with what quantised layers compute correctly; the first is the default.
        why: what keeps it from the rest.
        narrowest: bits of the narrowest integers that it knows.
    """

    name: str
    target: str
    package: str
    oldest: str
    newest: str
    layouts: tuple[Layout, ...]
    activations: tuple[Activations, ...]
    why: str
    narrowest: int

    @property
    def range(self) -> RuntimeRange:
        """Its versions."""
        return RuntimeRange(package=self.package, oldest=self.oldest, newest=self.newest)

    def has(self, package: str, version: str) -> bool:
        """Whether a version of a package is one of its own."""
        return package == self.package and version_numbers(self.oldest) <= version_numbers(version) <= version_numbers(self.newest)


_SUB_BYTE = "it does not know int4 and int2 weights"
_HYBRID = "with int8 activations it computes something else, without a word"

# The last of a target is its newest: what a file that is made for no runtime by name runs on.
_PROFILES = (
    Profile("tflite-2.14", "litert", "tflite-runtime", "2.14.0", "2.14.0", ("speed",), ("fp32",), f"{_SUB_BYTE}, and {_HYBRID}", 8),
    Profile("litert-1.x", "litert", "ai-edge-litert", "1.0.0", "2.3.0", ("speed",), ("fp32",), f"{_SUB_BYTE}, and {_HYBRID}", 8),
    Profile("litert-2.x", "litert", "ai-edge-litert", "2.1.0", "2.3.0", ("speed",), ("fp32", "int8"), _SUB_BYTE, 8),
    Profile("litert-2.2", "litert", "ai-edge-litert", "2.2.0", "2.3.0", ("size", "speed"), ("fp32", "int8"), "nothing does", 2),
    Profile("onnxruntime-1.18", "onnx", "onnxruntime", "1.18.0", "1.32.0", ("speed",), ("fp32",), _SUB_BYTE, 8),
    Profile("onnxruntime-1.24", "onnx", "onnxruntime", "1.24.1", "1.32.0", ("size", "speed"), ("fp32",), "nothing does", 2),
    Profile("openvino-2025.3", "openvino", "openvino", "2025.3.0", "2026.4.1", ("size",), ("fp32",), "nothing does", 2),
    Profile("executorch-1.0", "executorch", "executorch", "1.0.0", "1.5.1", ("size", "speed"), ("fp32",), "nothing does", 4),
)


def all_profiles() -> tuple[Profile, ...]:
    """Every profile, in a fixed order."""
    return _PROFILES


def profiles_of(target: str) -> tuple[Profile, ...]:
    """Those of one target."""
    return tuple(profile for profile in _PROFILES if profile.target == target)


def find_profile(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        CapabilityError: there is none; the sentence names those that are there.
    """
    for profile in _PROFILES:
        if profile.name == name:
            return profile
    raise CapabilityError(f"{name}: there is no such runtime; use {', '.join(profile.name for profile in _PROFILES)}")


def artifact_name(spec: ArtifactSpec, strategy: str | None) -> str:
    """How an artifact is called: after its runtime or target, its strategy or precision, and what else sets it apart.

    Args:
        spec: what was made, see :meth:`chordkit.export.targets.Target.settle`.
        strategy: name of the strategy, if any.
    """
    forced = spec.runtime is not None and find_profile(spec.runtime).layouts == ("speed",)
    parts = [spec.runtime or spec.target, strategy or str(spec.precision)]
    parts += ["speed"] if spec.layout == "speed" and not forced else []
    parts += ["catalogue"] if spec.catalogue else []
    parts += [] if spec.top is None else [f"top{spec.top}"]
    parts += [] if spec.batch == 1 else [f"batch{spec.batch}"]
    return "-".join(parts)
