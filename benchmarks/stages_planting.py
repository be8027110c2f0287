"""Faults planted at a stage on the way from the model to the file, in a layer that is known: for benchmarks/stages.py and the tests."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from mutations_faults import plant
from mutations_source import Constants, constants_of, faulty_program

from chordkit.export import program as programs
from chordkit.export.artifact import Artifact, ArtifactSpec
from chordkit.export.parity import VectorSet, depth_for, references
from chordkit.export.stages import Subject
from chordkit.export.targets import Source
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy

KINDS = ("swapped channels", "scale of a channel x 1.1", "one code off by one", "missing permutation")
PLACES = ("program", "lowered", "loaded")
"""What a fault is planted in, by the stage that is then the first bad one: the program; what targets make of it; the file alone."""


def planted_program(program: Any, source: Source, kind: str, layer: str, seed: int = 0) -> Any:
    """``program`` with a fault in the constants of ``layer``; as it is where the layer is spelled out in it."""
    if not isinstance(source, tuple) or f"backbone.{layer}.codes" not in program.state_dict:
        return program
    wrong = plant(kind, constants_of(*source), np.random.default_rng(seed), layer)
    assert wrong is not None, f"{kind} has no place in {layer}"
    return faulty_program(program, Constants({layer: wrong.layers[layer]}, {}, {}))


@contextlib.contextmanager
def planted(place: str, target: Any, kind: str, layer: str, seed: int = 0) -> Iterator[None]:
    """Export has a fault in ``layer`` from a stage of :data:`PLACES` on, and stages before it are right."""
    right = programs.export_program

    def export(source: Source, *arguments: Any, **options: Any) -> Any:
        return planted_program(right(source, *arguments, **options), source, kind, layer, seed)

    with contextlib.ExitStack() as stack:
        if place == "program":
            stack.enter_context(mock.patch("chordkit.export.stages.walk.export_program", export))
        if place in ("program", "lowered"):
            stack.enter_context(mock.patch.object(programs, "export_program", export))
        else:
            lower: Callable[..., bytes] = type(target).lower

            def faulty(self: Any, spec: ArtifactSpec, source: Source) -> bytes:
                with mock.patch.object(programs, "export_program", export):
                    return lower(self, spec, source)

            stack.enter_context(mock.patch.object(type(target), "lower", faulty))
        yield


def one_program_each(export: Callable[..., Any]) -> Callable[..., Any]:
    """``export_program`` that traces what it has been asked for once: walks over the same model ask for the same programs."""
    made: dict[Any, Any] = {}

    def plain(value: Any) -> Any:
        return value.tobytes() if isinstance(value, np.ndarray) else value

    def kept(source: Source, *arguments: Any, **options: Any) -> Any:
        if not isinstance(source, tuple):
            return export(source, *arguments, **options)
        spelled = tuple(name for name in source[0].layers if programs.is_spelled_out(name))
        given = tuple(sorted((name, plain(value)) for name, value in options.items()))
        key = (source[0].digest, source[1].tobytes(), spelled, arguments, given)
        if key not in made:
            made[key] = export(source, *arguments, **options)
        return made[key]

    return kept


@contextlib.contextmanager
def traced_sparingly() -> Iterator[None]:
    """Within it, every program is traced once (:func:`one_program_each`)."""
    kept = one_program_each(programs.export_program)
    with mock.patch.object(programs, "export_program", kept), mock.patch("chordkit.export.stages.walk.export_program", kept):
        yield


def subject_of(spec: ArtifactSpec, master: MasterWeights, widths: np.ndarray, vectors: VectorSet, data: bytes, **more: Any) -> Subject:
    """An artifact of a strategy as the walk takes it; ``data`` is its file."""
    strategy = Strategy(widths, master.fingerprint)
    artifact = Artifact(
        name=f"{spec.target}-user",
        target=spec.target,
        precision=str(spec.precision),
        activations=spec.activations or "fp32",
        candidates=spec.candidates,
        strategy="user",
        top=spec.top,
        batch=spec.batch,
        catalogue=spec.catalogue,
    )
    known = references(master, None, {"user": strategy})
    with_scores = replace(vectors, scores={}).with_scores({"user": known["user"]})
    if spec.catalogue:
        with_scores = with_scores.with_best({"user": known["user"]}, depth_for(spec.top or 0, master.items))
    return Subject(artifact, data, master, strategy, more.get("backbone"), with_scores)
