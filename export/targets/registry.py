"""All targets, found because their folders are there, and the one door to each of them."""

import contextlib
import functools
import importlib
import os
import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chordkit.errors import CapabilityError, InputError
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.targets.ledger import Kind, Ledger
from chordkit.export.targets.patchable import master_file
from chordkit.export.targets.runner import Runner
from chordkit.export.targets.runtimes import ranges_markdown
from chordkit.export.targets.target import Source, Target
from chordkit.files import read_bytes

if TYPE_CHECKING:  # what Source names, for whoever resolves the annotations of this module
    import numpy as np  # noqa: F401

    from chordkit.backbones import Backbone  # noqa: F401
    from chordkit.quantization import MasterWeights  # noqa: F401

_PACKAGE = "chordkit.export.targets"


@functools.cache
def _registry() -> dict[str, Target]:
    """Each folder beside this module holds one target, ``TARGET``; those with files come first, each kind by name."""
    folders = [info.name for info in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__) if info.ispkg]
    found: list[Target] = [importlib.import_module(f"{_PACKAGE}.{folder}").TARGET for folder in folders]
    return {target.name: target for target in sorted(found, key=lambda target: (target.capability.suffix is None, target.name))}


def all_targets() -> tuple[Target, ...]:
    """Every target, in a fixed order."""
    return tuple(_registry().values())


def find_target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        CapabilityError: there is none; the sentence names those that are there.
    """
    try:
        return _registry()[name]
    except KeyError:
        raise CapabilityError(f"{name}: there is no such target; use {', '.join(_registry())}") from None


def lower(spec: ArtifactSpec, source: Source) -> bytes:
    """Make an artifact.

    Args:
        spec: what is to be made.
        source: a float backbone for ``fp32``; a master with widths uint8 ``[channels]`` for ``int8`` and ``strategy``.

    Returns:
        The file's bytes; the same spec and source give the same bytes. An int8 file of layout ``speed`` ends in a patch table where its
        target has one, and becomes any user's (``docs/patching.md``).

    Raises:
        CapabilityError: the target cannot run this, or needs no file.
        InputError: the source is not of the kind that the precision needs, ``candidates`` is not positive, or with ``catalogue`` it is not
            the number of items.
        StrategyError: the widths do not fit the master.
        MissingRuntimeError: the target's package is not installed.
    """
    target = find_target(spec.target)
    widths = source[1] if isinstance(source, tuple) else None
    if (spec.precision is Precision.FP32) != (widths is None):
        needed = "the float backbone" if spec.precision is Precision.FP32 else "master weights with widths"
        raise InputError(f"{target}: precision {spec.precision} is made from {needed}; give that")
    items = source[0].items if isinstance(source, tuple) else source.config.items
    if spec.catalogue and spec.candidates != items:
        raise InputError(f"{target}: {spec.candidates} candidates are not the whole catalogue of {items} items; leave the number out")
    architecture = str(source[0].config["architecture"]) if isinstance(source, tuple) else source.config.architecture
    settled = target.settle(spec, architecture, widths)
    with _runtime_of(target):
        if isinstance(source, tuple) and settled.precision is Precision.INT8 and settled.layout == "speed":
            return master_file(target, settled, source)
        return target.lower(settled, source)


def load_runner(
    target: str,
    artifact: bytes | memoryview | str | os.PathLike[str],
    *,
    strategy: bytes | None = None,
    candidates: int = 100,
    threads: int = 1,
    master: bytes | memoryview | None = None,
) -> Runner:
    """Load an artifact on its runtime.

    Args:
        target: name of the runtime.
        artifact: the file's bytes or its path; for a target without files the master weights.
        strategy: for a target without files: of the artifact, in its wire form; None = int8 everywhere.
        candidates: for a target without files: ids scored per call.
        threads: of the runtime.
        master: the master weights, for a target whose files are called with them.

    Raises:
        CapabilityError: an unknown target, the runtime refuses the file, or the master weights are needed and not given.
        InputError: the file cannot be read, or ``threads`` is not positive.
        MissingRuntimeError: the runtime is not installed.
    """
    found = find_target(target)
    if threads < 1:
        raise InputError(f"threads: {threads} is not a number of threads; use at least 1")
    data = artifact if isinstance(artifact, bytes | memoryview) else read_bytes(artifact, f"{target} artifact")
    with _runtime_of(found):
        return found.load(data, strategy=strategy, candidates=candidates, threads=threads, master=master)


def bytes_of(target: str, artifact: bytes | memoryview) -> dict[Kind, int]:
    """What the bytes of a finished artifact are for; the sum is its length.

    Args:
        target: name of the runtime.
        artifact: the file; for a target without files the master weights.

    Raises:
        CapabilityError: an unknown target, or one whose files nobody has taken apart.
        InputError: the file is damaged.
    """
    data = memoryview(artifact).cast("B")
    ledger = Ledger(len(data))
    find_target(target).account(data, ledger)
    return ledger.totals()


@contextlib.contextmanager
def _runtime_of(target: Target) -> Iterator[None]:
    """What a target imports may be missing; a module of ours never is."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "chordkit":
            raise
        raise target.missing_runtime(error.name) from None


def support_matrix_markdown() -> str:
    """The support matrix of the README, a Markdown table, from the targets' capability rows and the table of runtimes."""
    lines = [
        "| target | runtime | right on, found by running | backbones | precisions | int8 / int4 / int2 / off stored in | activations "
        "| user vector | remarks |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for target in all_targets():
        can = target.capability
        cells = [
            target.name,
            f"`{target.required_runtime()}`" if can.runtime else "chordkit's own engine",
            ranges_markdown(target.name, can.runtime[0]) if can.runtime else "",
            "all" if can.backbones is None else ", ".join(can.backbones),
            ", ".join(can.precisions),
            " / ".join(str(can.stored_bits[width]) for width in (8, 4, 2, 0)) + " bits",
            ", ".join(can.activations),
            "yes" if can.user_vector else "no",
            can.note,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
