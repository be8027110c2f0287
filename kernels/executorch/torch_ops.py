"""The PyTorch side of the ExecuTorch operators: ``torch.ops.chord.rerank``, ``rerank_for`` and ``linear``.

Importing this module registers them, so that a model that calls them can be run eagerly, exported (their fake kernels know the shapes)
and lowered (ExecuTorch looks for the ``out`` variants). The CPU kernels are libchord's, through its Python binding, so eager results
are those of the program on the phone, bit for bit.

``chord::rerank(history, candidates, master, strategy) -> scores``
    ``history`` int32 ``[length]`` or ``[users, length]``, ``candidates`` int32 ``[count]`` or ``[users, count]``, ``master`` and
    ``strategy`` uint8: the files themselves. ``scores`` float32 of the shape of ``candidates``.
``chord::rerank_for(history, candidates, master, strategy, user) -> scores``
    The same with a user vector, uint8, for all histories.
``chord::linear(x, codes, scales, widths, bias, relu, digest) -> y``
    ``x`` float32 ``[..., in]``, quantised per row to 8 bits on the way; ``codes`` int8 ``[out, in]`` at the channels' ``widths`` uint8
    ``[out]`` in {0, 2, 4, 8}; ``scales`` float32 ``[out]``; ``bias`` float32 ``[out]`` or None. ``digest`` is :func:`layer_digest` of
    the constants: by it the library knows a layer that it has packed before, without comparing the weights in every call.
"""

import functools
import hashlib

import numpy as np
import torch
from torch import Tensor

from chordkit.errors import InputError
from chordkit.kernels.engine import Engine
from chordkit.kernels.linear import NativeLinear

_KEPT = 8
_RERANK = "Tensor history, Tensor candidates, Tensor master, Tensor strategy"
_RERANK_FOR = f"{_RERANK}, Tensor user"
_LINEAR = "Tensor x, Tensor codes, Tensor scales, Tensor widths, Tensor? bias, bool relu, int digest"

_library = torch.library.Library("chord", "FRAGMENT")
for _name, _arguments in (("rerank", _RERANK), ("rerank_for", _RERANK_FOR), ("linear", _LINEAR)):
    _library.define(f"{_name}({_arguments}) -> Tensor")
    _library.define(f"{_name}.out({_arguments}, *, Tensor(a!) out) -> Tensor(a!)")


@functools.lru_cache(_KEPT)
def _engine(master: bytes, strategy: bytes) -> Engine:
    engine = Engine(master)
    engine.adopt(strategy)
    return engine


def _require(tensor: Tensor, dtype: torch.dtype, dims: tuple[int, ...], what: str) -> None:
    if tensor.dtype is not dtype or tensor.dim() not in dims:
        raise InputError(
            f"{what}: {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)} was given; "
            f"use {str(dtype).removeprefix('torch.')} of {' or '.join(map(str, dims))} dimensions"
        )


def rerank(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor) -> Tensor:
    """CPU kernel of ``chord::rerank``.

    Raises:
        InputError: a wrong shape or type, or an id outside the catalogue.
        MasterError, StrategyError: the engine refuses the master or the strategy.
        MissingRuntimeError: the engine was not compiled.
    """
    return _rerank(history, candidates, master, strategy, None)


def rerank_for(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor, user: Tensor) -> Tensor:
    """CPU kernel of ``chord::rerank_for``.

    Raises (beside what :func:`rerank` raises):
        UserVectorError: the engine refuses the user vector.
    """
    _require(user, torch.uint8, (1,), "user")
    return _rerank(history, candidates, master, strategy, user.numpy().tobytes())


def _rerank(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor, user: bytes | None) -> Tensor:
    for ids, what in ((history, "history"), (candidates, "candidates")):
        _require(ids, torch.int32, (1, 2), what)
    for data, what in ((master, "master"), (strategy, "strategy")):
        _require(data, torch.uint8, (1,), what)
    engine = _engine(master.numpy().tobytes(), strategy.numpy().tobytes())
    return torch.from_numpy(engine.scores(history.numpy(), candidates.numpy(), user=user))


def linear(x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None, relu: bool, digest: int) -> Tensor:
    """CPU kernel of ``chord::linear``.

    Raises:
        InputError: a wrong shape or type, a code outside the grid of its width, or another layer's digest.
        MissingRuntimeError: the engine was not compiled.
    """
    _require(codes, torch.int8, (2,), "codes")
    _require(scales, torch.float32, (1,), "scales")
    _require(widths, torch.uint8, (1,), "widths")
    if bias is not None:
        _require(bias, torch.float32, (1,), "bias")
    if x.dtype is not torch.float32 or x.dim() < 1 or x.shape[-1] != codes.shape[1]:
        raise InputError(f"x: {x.dtype} {list(x.shape)} was given; use float32 [..., {codes.shape[1]}]")
    if layer_digest(codes, scales, widths, bias) != digest:
        raise InputError("digest: the layer's constants are not those that its digest was taken of; use layer_digest()")
    rows = x.reshape(-1, x.shape[-1])
    biases = None if bias is None else bias.numpy()
    layer = NativeLinear(codes.numpy(), scales.numpy(), widths.numpy(), biases, max_rows=len(rows), relu=relu)
    return torch.from_numpy(layer(rows.numpy())).reshape(*x.shape[:-1], codes.shape[0])


def layer_digest(codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None) -> int:
    """First 8 bytes, as a signed little-endian integer, of the SHA-256 over a layer (``kernels/executorch/layer_cache.h``)."""
    digest = hashlib.sha256(np.array([*codes.shape, bias is not None], "<u4").tobytes())
    for tensor in (codes, scales, widths, *(() if bias is None else (bias,))):
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return int.from_bytes(digest.digest()[:8], "little", signed=True)


def _rerank_out(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor, *, out: Tensor) -> Tensor:
    return out.copy_(rerank(history, candidates, master, strategy))


def _rerank_for_out(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor, user: Tensor, *, out: Tensor) -> Tensor:
    return out.copy_(rerank_for(history, candidates, master, strategy, user))


def _linear_out(
    x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None, relu: bool, digest: int, *, out: Tensor
) -> Tensor:
    return out.copy_(linear(x, codes, scales, widths, bias, relu, digest))


_library.impl("rerank", rerank, "CPU")
_library.impl("rerank.out", _rerank_out, "CPU")
_library.impl("rerank_for", rerank_for, "CPU")
_library.impl("rerank_for.out", _rerank_for_out, "CPU")
_library.impl("linear", linear, "CPU")
_library.impl("linear.out", _linear_out, "CPU")


@torch.library.register_fake("chord::rerank", lib=_library)
def _(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor) -> Tensor:
    return candidates.new_empty(candidates.shape, dtype=torch.float32)


@torch.library.register_fake("chord::rerank_for", lib=_library)
def _(history: Tensor, candidates: Tensor, master: Tensor, strategy: Tensor, user: Tensor) -> Tensor:
    return candidates.new_empty(candidates.shape, dtype=torch.float32)


@torch.library.register_fake("chord::linear", lib=_library)
def _(x: Tensor, codes: Tensor, scales: Tensor, widths: Tensor, bias: Tensor | None, relu: bool, digest: int) -> Tensor:
    return x.new_empty((*x.shape[:-1], codes.shape[0]))
