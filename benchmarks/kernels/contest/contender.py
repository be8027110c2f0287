"""One computation in one runtime, bound to memory once: written, run and read apart, so that only the run is timed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Bound:
    """A loaded program with its inputs and its output in fixed memory.

    Attributes:
        write: copies one array an input, in their order, to where the program reads them.
        run: one inference; takes nothing, and what it returns is ignored.
        read: a copy of the output of the last run.
        how: the call, in words.
        vary: writes another newest item, where the program knows its last history; not timed, as no program's inputs are.
    """

    write: Callable[..., None]
    run: Callable[[], object]
    read: Callable[[], Array]
    how: str
    vary: Callable[[], object] | None = None

    def run_anew(self) -> object:
        """One inference over another input than the last one's."""
        if self.vary is not None:
            self.vary()
        return self.run()


@dataclass(frozen=True)
class Contender:
    """A row of a comparison.

    Attributes:
        name: unique in its comparison, for example ``"litert int8, int8 activations"``.
        runtime: whose it is; ``"chordkit"`` is ours.
        bound: the program.
        activations: ``"fp32"``, ``"bf16"`` or ``"int8"``: what its layers compute with, which decides what it may be off by.
        over: name of another one that its times are set against as well, or None.
    """

    name: str
    runtime: str
    bound: Bound
    activations: str = "fp32"
    over: str | None = None

    @property
    def ours(self) -> bool:
        """Whether this is chordkit's engine and not a peer."""
        return self.runtime == "chordkit"

    def answers(self, inputs: Sequence[tuple[Array, ...]]) -> Array:
        """Outputs for several inputs, stacked; the last input stays written."""
        results = []
        for arrays in inputs:
            self.bound.write(*arrays)
            self.bound.run()
            results.append(np.array(self.bound.read()))
        return np.stack(results)


class Missing(Exception):
    """This runtime cannot do this, with the reason; it is reported, and not timed."""
