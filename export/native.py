"""The native engine as a target: no file of its own, but the master weights and a strategy, used where they lie."""

from chordkit.export.runners import Ids, Runner, Scores
from chordkit.kernels import Engine
from chordkit.quantization import MasterWeights
from chordkit.strategy import encode, uniform


class NativeRunner(Runner):
    """A backbone in chordkit's own engine.

    Args:
        master: a master-weights file; it is read in place.
        strategy: a strategy in its wire form; None = int8 everywhere.
        candidates: ids scored per call.

    Raises:
        MasterError: the engine refuses the master.
        StrategyError: the strategy is malformed or of another backbone.
        MissingRuntimeError: the engine was not compiled.
    """

    def __init__(self, master: bytes | memoryview, strategy: bytes | None = None, candidates: int = 100) -> None:
        self._engine = Engine(master)
        if strategy is None:
            strategy = encode(uniform(MasterWeights.from_bytes(master).channel_table, 8, self._engine.fingerprint))
        self._engine.adopt(strategy)
        self.length, self.candidates, self.items = self._engine.max_length, candidates, self._engine.items

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        return self._engine.scores(history, candidates)
