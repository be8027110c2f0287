"""Processes that train one model together: each takes its rows of every step, and their gradients add up to those of the whole batch.

All of them hold the same weights and take the same steps of the optimiser. One that is alone is a group as well.
"""

import contextlib
import functools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from chordkit.backbones.part import Part
from chordkit.errors import ProcessError
from chordkit.processes import Place

Made = TypeVar("Made")

JOIN_WITHIN = timedelta(minutes=5)
ANSWER_WITHIN = timedelta(minutes=30)
_HOWEVER_LONG = timedelta(days=30)
_LOOK_EVERY_S = 0.05
_NOTHING, _SOMETHING = b"-", b"+"
_HERE, _SPOKEN = "chordkit/here", "chordkit/spoken"
_round = ""


class Group:
    """The processes of one training, seen from one of them; made without arguments, it is alone.

    Attributes:
        rank: of this process.
        size: how many there are.
        local_rank: number of this one on its machine.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates, writes files and shows progress."""
        return self.rank == 0

    def part(self, rows: int) -> Part:
        """The rows that this process takes of a batch; where there are fewer than processes, some take one that does not count."""
        first, stop = rows * self.rank // self.size, rows * (self.rank + 1) // self.size
        return Part(first, stop, rows) if first < stop else Part(0, 1, rows, idle=True)

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> float:
        """Replace this process's gradients by the sum of all processes'; returns the sum of their losses."""
        return float(loss.detach())

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Give ``tensors``, in place, the values that they have in the process that leads."""

    def told(self, make: Callable[[], bytes]) -> bytes:
        """What ``make`` gives in the process that leads; it is called there alone."""
        return make()

    def told_if_any(self, make: Callable[[], bytes | None]) -> bytes | None:
        """:meth:`told`, where there may be nothing to tell."""
        found = self.told(lambda: _NOTHING if (made := make()) is None else _SOMETHING + made)
        return None if found == _NOTHING else found[len(_SOMETHING) :]

    def one_after_the_others(self, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, called by one process of each machine first, and by the others when it is done, however long that takes."""
        return make()


class _Joined(Group):
    """Processes that torch has connected."""

    def __init__(self, rank: int, size: int, local_rank: int) -> None:
        super().__init__(rank, size, local_rank)
        # Bytes are exchanged on the CPU, whatever adds up the gradients.
        self._talk = dist.group.WORLD if dist.get_backend() == "gloo" else dist.new_group(backend="gloo", timeout=ANSWER_WITHIN)

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> float:
        own = [parameter for parameter in parameters if parameter.requires_grad]
        # A parameter that no row of the whole batch reached keeps no gradient, as in one process: the optimiser leaves it alone.
        reached = loss.new_tensor([parameter.grad is not None for parameter in own])
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in own]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), reached, loss.detach().reshape(1)])
        with _answers():
            dist.all_reduce(flat)
        *sums, reached, total = flat.split([*(each.numel() for each in own), len(own), 1])
        for parameter, gradient, there in zip(own, sums, reached.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter) if there else None
        return float(total)

    @torch.no_grad()
    def align(self, tensors: Sequence[Tensor]) -> None:
        for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.detach().flatten() for tensor in alike])
            with _answers():
                dist.broadcast(flat, 0)
            for tensor, values in zip(alike, flat.split([tensor.numel() for tensor in alike]), strict=True):
                tensor.copy_(values.view_as(tensor))

    def told(self, make: Callable[[], bytes]) -> bytes:
        data = make() if self.leads else b""
        size = torch.tensor([len(data)])
        with _answers():
            dist.broadcast(size, 0, group=self._talk)
            text = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(int(size), dtype=torch.uint8)
            if len(text):
                dist.broadcast(text, 0, group=self._talk)
        return text.numpy().tobytes()

    def one_after_the_others(self, make: Callable[[], Made]) -> Made:
        made = make() if self.local_rank == 0 else None
        with _answers():
            dist.monitored_barrier(group=self._talk, timeout=_HOWEVER_LONG)
        return make() if made is None else made


ALONE = Group()


@contextlib.contextmanager
def joined(device: str = "cpu", join_within: timedelta = JOIN_WITHIN, answer_within: timedelta = ANSWER_WITHIN) -> Iterator[Group]:
    """The group of this process, as torchrun or another launcher started it; alone where none did.

    Processes that torch has connected already (Ray Train) are taken as they are, and left connected.

    Args:
        device: where they will train: gradients are added up by gloo on CPUs and by NCCL on GPUs.
        join_within: how long to wait until all are here.
        answer_within: how long to wait for another one in a step before it counts as lost.

    Raises:
        ProcessError: the environment contradicts itself, or not all processes came.
    """
    place = Place.here()
    if dist.is_available() and dist.is_initialized():
        yield _Joined(dist.get_rank(), dist.get_world_size(), place.local_rank) if dist.get_world_size() > 1 else ALONE
        return
    if place.size == 1:
        yield ALONE
        return
    try:
        store = _gather(_store(place, join_within), place, join_within)
        backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=answer_within)
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise ProcessError(
            f"process {place.rank} of {place.size} did not reach the others at {where} (MASTER_ADDR and MASTER_PORT): "
            f"start all of them with the same address: {' '.join(str(error).split())[:200]}"
        ) from error
    yield _Joined(place.rank, place.size, place.local_rank)
    dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process is the one that tells of an error that ends them all: the first that asks. Alone, it always is."""
    try:
        place = Place.here()
        if place.size == 1 or not (dist.is_initialized() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"):
            return True
        attempt = _round or os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
        first: bytes = _store(place, timedelta(seconds=5)).compare_set(f"{_SPOKEN}/{attempt}", "", str(place.rank))
    except (ProcessError, RuntimeError):
        return True
    return first == str(place.rank).encode()


@functools.cache
def _connected(rank: int, size: int, within: timedelta) -> dist.Store:
    store, _, _ = next(rendezvous("env://", rank, size, timeout=within))
    return store


def _store(place: Place, within: timedelta) -> dist.Store:
    """Where all processes of one start leave notes for each other."""
    return _connected(place.rank, place.size, within)


def _gather(store: dist.Store, place: Place, within: timedelta) -> dist.Store:
    """Wait until all processes are here, in Python, so that a signal ends it; what they leave for each other from now on.

    torchrun starts lost processes again on the store that it has, where notes of the earlier ones still lie. So each that follows leaves a
    number of its own, waits until the one that leads answers to that, and confirms the name of the round, which is new.

    Raises:
        ProcessError: they are not, in time.
    """
    global _round
    until, own = time.monotonic() + within.total_seconds(), secrets.token_hex(8)
    answer, ranks = f"{_HERE}/answer/{own}", range(1, place.size)

    def wait(done: Callable[[], bool], missing: Callable[[], str]) -> None:
        while not done():
            if time.monotonic() > until:
                raise ProcessError(f"{missing()} within {within.total_seconds():.0f} s: start the others as well")
            time.sleep(_LOOK_EVERY_S)

    def all_confirmed() -> bool:
        for rank in ranks:
            if store.check([f"{_HERE}/{rank}"]):
                store.set(f"{_HERE}/answer/{store.get(f'{_HERE}/{rank}').decode()}", own)
        return all(store.check([f"{_HERE}/{own}/{rank}"]) for rank in ranks)

    if place.follows:
        store.set(f"{_HERE}/{place.rank}", own)
        wait(lambda: store.check([answer]), lambda: "the process that leads did not come")
        _round = store.get(answer).decode()
        store.set(f"{_HERE}/{_round}/{place.rank}", "")
    else:
        _round = own
        wait(all_confirmed, lambda: f"{1 + sum(store.check([f'{_HERE}/{own}/{rank}']) for rank in ranks)} of {place.size} processes came")
    return dist.PrefixStore(_round, store)


@contextlib.contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(
            "another process of this training was lost, or did not answer in time; what was finished is kept, run the same command to go on"
        ) from error
