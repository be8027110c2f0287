"""Where training runs: a torch device that exists, its random generators, and the number of threads."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch

from chordkit.errors import InputError
from chordkit.training.parallel import ALONE, Group


def torch_device(name: str, group: Group = ALONE) -> torch.device:
    """The device that training options name: ``cpu``, ``cuda`` or ``cuda:<number>``; of several processes each gets a GPU of its own.

    Raises:
        InputError: torch does not know the name, training does not run there, or the machine has no such device, or not enough of them.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"training options: device = {name!r} is unknown: use cpu or cuda") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"training options: device = {name!r} is not supported: use cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"training options: device = {name!r}, but this torch sees no CUDA device: use cpu")
    if device.type == "cuda" and group.size > 1:
        count = torch.cuda.device_count()
        if device.index is not None or group.local_rank >= count:
            raise InputError(
                f"training options: device = {name!r} for {group.size} processes, and {count} CUDA devices on this machine: "
                "use cuda, and start as many processes a machine as it has devices"
            )
        device = torch.device("cuda", group.local_rank)
        torch.cuda.set_device(device)
    return device


_PRODUCTS: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


@contextlib.contextmanager
def borrowed_generators(device: torch.device) -> Iterator[None]:
    """Let training draw from torch's global generators inside the block; the caller's states come back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextlib.contextmanager
def torch_arithmetic(threads: int) -> Iterator[None]:
    """Let torch compute with ``threads`` threads inside the block, 0 = as many as before, and with oneDNN's products of float32, which
    on some processors are twice as fast as MKL's; the caller's settings come back after it."""
    before, products = torch.get_num_threads(), _PRODUCTS.fp32_precision
    torch.set_num_threads(threads or before)
    if _onednn_keeps_float32():
        _PRODUCTS.fp32_precision = "bf16"
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _PRODUCTS.fp32_precision = products


@functools.cache
def _onednn_keeps_float32() -> bool:
    """Whether products that may be computed in bfloat16, which torch gives to oneDNN, are computed in float32 all the same: so they are
    on processors without matrix instructions (AMX), where bfloat16 would save nothing. Elsewhere products stay what they are."""
    precision, one = _PRODUCTS.fp32_precision, torch.eye(64)
    finer = one * (1.0 + 2.0**-20)
    _PRODUCTS.fp32_precision = "bf16"
    try:
        return torch.equal(finer @ one, finer)
    finally:
        _PRODUCTS.fp32_precision = precision
