"""Where training runs: a torch device that exists, its random generators, and the number of threads."""

import contextlib
from collections.abc import Iterator

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


@contextlib.contextmanager
def borrowed_generators(device: torch.device) -> Iterator[None]:
    """Let training draw from torch's global generators inside the block; the caller's states come back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextlib.contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch compute with ``number`` threads inside the block, 0 = as many as before; the caller's number comes back after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
