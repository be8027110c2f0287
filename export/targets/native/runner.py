"""The native engine as a target: no file of its own, but the master weights and a strategy, used where they lie."""

from chordkit.export.targets.runner import Ids, Runner, Scores, Vector
from chordkit.kernels import Engine
from chordkit.quantization import MasterWeights
from chordkit.strategy import encode, quantize_user_vector, uniform


class NativeRunner(Runner):
    """A backbone in chordkit's own engine; one call at a time. A user vector is adopted when it is another array than before.

    Args:
        master: a master-weights file; it is read in place.
        strategy: a strategy in its wire form; None = int8 everywhere.
        candidates: ids scored per call.

    Raises:
        MasterError: the engine refuses the master.
        StrategyError: the strategy is malformed or of another backbone.
        MissingRuntimeError: the engine was not compiled.
    """

    vector_needed = False

    def __init__(self, master: bytes | memoryview, strategy: bytes | None = None, candidates: int = 100) -> None:
        engine = Engine(master)
        if strategy is None:
            strategy = encode(uniform(MasterWeights.from_bytes(master).channel_table, 8, engine.fingerprint))
        engine.adopt(strategy)
        self._engine, self._strategy = engine, strategy
        self.length, self.candidates, self.items = engine.max_length, candidates, engine.items
        self.dim, self._fingerprint = engine.dim, engine.fingerprint
        self._rerank = engine.prepare(self.length, candidates)
        self._user: Vector | None = None

    def adopt(self) -> bool:
        self._engine.adopt(self._strategy)
        return True

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        if user is not self._user:
            self._rerank.adopt_user(None if user is None else quantize_user_vector(user, self._fingerprint))
            self._user = user
        self._rerank.history[:], self._rerank.candidates[:] = history, candidates
        return self._rerank.run().copy()
