"""The search for the first bad layer where the file is as it was made, and what runs it, or what made it, is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from chordkit.errors import CapabilityError, ChordkitError
from chordkit.export.parity import ParityReport
from chordkit.export.program import spelled_out
from chordkit.export.stages.content import first_bad
from chordkit.export.stages.subject import Subject

Run = Callable[[Subject], ParityReport]
"""A stage: what a subject gives there, held against its reference."""


@dataclass(frozen=True)
class Found:
    """What a search over layers told."""

    layer: str | None
    suspects: tuple[str, ...]
    by: str


def search(subject: Subject, run: Run) -> Found:
    """The first layer with which ``run`` is wrong.

    A traced target is asked for programs in which all layers behind the first n are plain float products; they compute the same, so
    that the lowering and the kernels of the others are out of the picture. The engine takes no such program: it is asked for
    strategies in which all layers behind the first n have 8 bits, and, where that is wrong too, for some in which one layer is off.
    """
    return _by_products(subject, run) if subject.target.traced else _by_widths(subject, run)


def _agrees(subject: Subject, run: Run) -> bool:
    try:
        return run(subject).passed
    except ChordkitError:
        return False


def _by_products(subject: Subject, run: Run) -> Found:
    layers = subject.layers
    few = replace(subject, vectors=subject.few())

    def bad(count: int) -> bool:
        try:
            with spelled_out(layers[count:]):
                return not run(few).passed
        except CapabilityError:
            return count > 0  # a target may take no program without any quantised layer, and then has no fault without one
        except ChordkitError:
            return True

    way = "programs in which the layers behind the first n are plain float products"
    if bad(0):
        return Found(None, (), f"{way}: it is wrong even with none of the layers in it, so the fault is outside of them")
    index = first_bad(len(layers), bad)
    if index is None:
        return Found(None, (), f"{way}: none is wrong over the first {len(few.vectors.histories)} histories")
    return Found(layers[index], (), way)


def _by_widths(subject: Subject, run: Run) -> Found:
    layers, table = subject.layers, subject.master.channel_table
    whole = subject.widths

    def agrees(widths: np.ndarray) -> bool:
        return _agrees(subject.with_widths(widths), run)

    def bad(count: int) -> bool:
        widths = np.full_like(whole, 8)
        for name in layers[:count]:
            widths[table.layer_slice(name)] = whole[table.layer_slice(name)]
        return not agrees(widths)

    if not bad(0):
        index = first_bad(len(layers), bad)
        return Found(None if index is None else layers[index], (), "strategies in which the layers behind the first n have 8 bits")
    way = "strategies in which one layer is off: without which is it right?"
    found = []
    for name in layers:
        widths = whole.copy()
        widths[table.layer_slice(name)] = 0
        if agrees(widths):
            found.append(name)
    if not found:
        return Found(None, (), f"{way} It is wrong without any of them, so the fault is outside of them, or in several")
    return Found(found[0], tuple(found[1:]), way)
