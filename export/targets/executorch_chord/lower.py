"""ExecuTorch programs whose work is done by libchord: one ``chord::rerank`` node a method, a strategy baked in, the master an input.

The operator library (``libchord_executorch``, ``chordkit.kernels.executorch``) is all that such a program needs besides ExecuTorch's core,
no other kernel and no backend. The master weights are the last input of every method, uint8 ``[n]``, the bytes of the file: a phone has
them once, for all programs and for the native engine. They are used where they lie and must stay there while the program is called.
Methods:

``forward(history int32 [1, L], candidates int32 [1, C], master) -> scores float32 [1, C]``
    with the strategy that the program was made with.
``rerank_with(history, candidates, strategy uint8 [m], master) -> scores``
    with a strategy that the caller hands over, in its wire form: a new one needs no new program. It is adopted (microseconds) when it is
    not the one of the call before; a damaged one, or one of another backbone, is an error and changes nothing.
``rerank_for(history, candidates, strategy uint8 [m], user uint8 [k], master) -> scores``
    for a user vector too, in its wire form, of this call alone; refused as a strategy is.
``items() -> int``
    the largest id.
"""

import numpy as np
import torch
from torch import Tensor, nn

from chordkit.errors import InputError, StrategyError
from chordkit.export.targets.executorch.lower import ITEMS_METHOD
from chordkit.export.targets.executorch.silence import quiet
from chordkit.kernels import Engine, available
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, to_wire, user_vector_bytes

PERSONAL_METHOD = "rerank_with"
USER_METHOD = "rerank_for"
FINGERPRINT_METHOD = "fingerprint"
"""The master's, as a little-endian signed integer: what a user vector must carry."""


def _bytes(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


class _PersonalReranker(nn.Module):
    """``chord::rerank``, the strategy being an input."""

    def forward(self, history: Tensor, candidates: Tensor, strategy: Tensor, master: Tensor) -> Tensor:
        return torch.ops.chord.rerank(history, candidates, master, strategy)


class _UserReranker(nn.Module):
    """The same with a user vector as one more input."""

    def forward(self, history: Tensor, candidates: Tensor, strategy: Tensor, user: Tensor, master: Tensor) -> Tensor:
        return torch.ops.chord.rerank_for(history, candidates, master, strategy, user)


class _FixedReranker(nn.Module):
    """``chord::rerank`` with the strategy baked in."""

    strategy: Tensor

    def __init__(self, strategy: bytes) -> None:
        super().__init__()
        self.register_buffer("strategy", _bytes(strategy))

    def forward(self, history: Tensor, candidates: Tensor, master: Tensor) -> Tensor:
        return torch.ops.chord.rerank(history, candidates, master, self.strategy)


class _FixedUserReranker(_FixedReranker):
    """The same with a user vector, in its wire form, between history and candidates as in every other target."""

    def forward(self, history: Tensor, user: Tensor, candidates: Tensor, master: Tensor) -> Tensor:  # type: ignore[override]
        return torch.ops.chord.rerank_for(history, candidates, master, self.strategy, user.view(-1))


def lower(master: MasterWeights, widths: np.ndarray, candidates: int = 100, *, user_vector: bool = False) -> bytes:
    """The ``.pte`` of a backbone in libchord.

    Args:
        master: the master weights that the program is to be called with.
        widths: uint8 ``[channels]``, the strategy of ``forward``.
        candidates: scored per call.
        user_vector: ``forward`` takes one, uint8 ``[1, k]``.

    Returns:
        The file's bytes; the same arguments give the same bytes.

    Raises:
        InputError: ``candidates`` is not positive.
        MasterError: the engine cannot run this model.
        StrategyError: the widths do not fit the master.
        ImportError: ``executorch`` is not installed.
    """
    if candidates < 1:
        raise InputError(f"candidates: {candidates} is not a number of candidates; use at least 1")
    if len(widths) != (channels := master.channel_table.channels):
        raise StrategyError(f"widths: {len(widths)} do not fit the master's {channels} channels; use a strategy made for this master")
    data, strategy = master.to_bytes(), to_wire(Strategy(np.asarray(widths, np.uint8), master.fingerprint))
    if available():
        # What the engine cannot run is refused here, not on the phone.
        Engine(data).check(strategy)
    history = torch.ones((1, int(master.config["max_length"])), dtype=torch.int32)  # type: ignore[arg-type]
    ids = torch.ones((1, candidates), dtype=torch.int32)
    user = torch.zeros(user_vector_bytes(int(master.config["dim"])), dtype=torch.uint8)  # type: ignore[arg-type]
    with quiet():
        from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
        from executorch.exir.passes import MemoryPlanningPass

        import chordkit.kernels.executorch.torch_ops  # noqa: F401  (registers the operators)

        with torch.no_grad():
            weights, wire = _bytes(data), _bytes(strategy)
            fixed: tuple[nn.Module, tuple[Tensor, ...]] = (_FixedReranker(strategy), (history, ids, weights))
            if user_vector:
                fixed = (_FixedUserReranker(strategy), (history, user.unsqueeze(0), ids, weights))
            methods = {
                "forward": torch.export.export(*fixed, strict=False),
                PERSONAL_METHOD: torch.export.export(_PersonalReranker(), (history, ids, wire, weights), strict=False),
                USER_METHOD: torch.export.export(_UserReranker(), (history, ids, wire, user, weights), strict=False),
            }
        known: dict[str, int] = {ITEMS_METHOD: master.items}
        if user_vector:
            known[FINGERPRINT_METHOD] = int.from_bytes(master.fingerprint, "little", signed=True)
        edge = to_edge(methods, constant_methods=known, compile_config=EdgeCompileConfig(_check_ir_validity=False))
        # Inputs stay where the caller has them: into planned memory the master would be copied in every call.
        in_place = ExecutorchBackendConfig(memory_planning_pass=MemoryPlanningPass(alloc_graph_input=False))
        return bytes(edge.to_executorch(in_place).buffer)
