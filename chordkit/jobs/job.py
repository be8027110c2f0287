"""What a job is: the content of its files and its terms, as it travels to whatever process works on it."""

import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from chordkit.data import Dataset
from chordkit.errors import InputError
from chordkit.files import read_bytes, sha256
from chordkit.hypernetwork import StrategyMaker, parse_hypernetwork
from chordkit.quantization import MasterWeights
from chordkit.signing import key_id, load_private_key
from chordkit.strategy.envelope import LARGEST_NUMBER

_ITEM = "item"
Pathlike = str | os.PathLike[str]


@dataclass(frozen=True)
class Sealing:
    """Everything goes out in signed envelopes.

    Attributes:
        key: the private Ed25519 key (PEM). It does not travel: each process that works reads it from this path.
        serial: of all envelopes of this job; larger than that of the job before.
        subject: the column that says whom an envelope is for, text, whole numbers or bytes, at most 24 bytes; "" = nobody in particular.
    """

    key: Path
    serial: int
    subject: str = "user"

    def __post_init__(self) -> None:
        if not 1 <= self.serial <= LARGEST_NUMBER:
            raise InputError(f"serial: {self.serial} is outside 1 .. 2^53 - 1; give a number that grows with every job, such as 20261127")


@dataclass(frozen=True, repr=False)
class Job:
    """One model, and what is asked of it. It is made with :meth:`read`, may be sent anywhere, and depends on no file but the key.

    Attributes:
        master: the bytes of the master weights.
        hypernetwork: the bytes of the hypernetwork.
        items: the owner's item ids as an Arrow stream with one column, where histories hold those; None = they hold indices 1, 2, ...
        budget: average bits; None = what the hypernetwork was trained for.
        user: the column with the owner's id of a user, text or whole numbers.
        history: the column with a list of items, oldest first.
        sealing: how envelopes are made; None = bare strategies.
        digest: SHA-256 over all of it.
    """

    master: bytes
    hypernetwork: bytes
    items: bytes | None = None
    budget: float | None = None
    user: str = "user"
    history: str = "history"
    sealing: Sealing | None = None
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(repr(sorted(self.identity().items())).encode()).hexdigest())

    @classmethod
    def read(
        cls,
        master: Pathlike,
        hypernetwork: Pathlike,
        *,
        items: Pathlike | None = None,
        budget: float | None = None,
        user: str = "user",
        history: str = "history",
        sealing: Sealing | None = None,
    ) -> "Job":
        """Read the files of a job, and hold that they belong together.

        Args:
            master: the master weights.
            hypernetwork: the trained hypernetwork.
            items: a prepared data set, or a Parquet table whose column ``item`` has the id of item 1, 2, ... in this order.
            budget: as the attribute, like all that follow.
            user: a column.
            history: a column.
            sealing: how envelopes are made.

        Raises:
            InputError: a file is missing or damaged, the files do not belong to each other, the key cannot be used, or the hypernetwork
                does not make what is asked.
        """
        ids = None if items is None else _to_stream(read_item_ids(items))
        job = cls(read_bytes(master, "master weights"), read_bytes(hypernetwork, "hypernetwork"), ids, budget, user, history, sealing)
        network, _ = parse_hypernetwork(job.hypernetwork, hypernetwork, MasterWeights.load(master))  # errors name the files
        maker = StrategyMaker(network)
        maker.require_strategies()
        maker.budget(budget)
        if (found := job.item_ids()) is not None and len(found) != maker.items:
            raise InputError(f"{items}: {len(found)} item ids do not fit master weights of {maker.items} items; give those of its data set")
        return job

    def identity(self) -> dict[str, Any]:
        """All that the result for a user depends on, as JSON values."""
        sealing = self.sealing
        return {
            "master": sha256(self.master),
            "hypernetwork": sha256(self.hypernetwork),
            "items": None if self.items is None else sha256(self.items),
            "budget": self.budget,
            "user": self.user,
            "history": self.history,
            "key": None if sealing is None else key_id(load_private_key(sealing.key).public_key()),
            "serial": None if sealing is None else sealing.serial,
            "subject": None if sealing is None else sealing.subject,
        }

    @property
    def fingerprint(self) -> str:
        """Of the backbone, in hexadecimal."""
        return MasterWeights.from_bytes(self.master).fingerprint.hex()

    def maker(self, device: str = "cpu") -> StrategyMaker:
        """The model, ready to work on a device of torch.

        Raises:
            InputError: the files do not belong to each other.
        """
        network, _ = parse_hypernetwork(self.hypernetwork, "hypernetwork", MasterWeights.from_bytes(self.master))
        return StrategyMaker(network.to(device))

    def item_ids(self) -> list[str] | None:
        """The owner's ids of the items 1, 2, ... in this order."""
        if self.items is None:
            return None
        found: list[str] = pa.ipc.open_stream(self.items).read_all().column(0).to_pylist()
        return found


def read_item_ids(path: Pathlike) -> list[str]:
    """The ids of the items 1, 2, ..., out of a prepared data set or a Parquet table with a column ``item``.

    Raises:
        InputError: it is neither, an id is missing, or there twice.
    """
    if Path(path).suffix == ".safetensors":
        return list(Dataset.load(path).item_ids[1:])
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(read_bytes(path, "item ids")))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: neither a prepared data set (.safetensors) nor a Parquet table of item ids: {one_line(error)}") from None
    if _ITEM not in table.column_names:
        raise InputError(f"{path}: there is no column {_ITEM!r} in it; name the column of item ids so")
    ids = [None if each is None else str(each) for each in table.column(_ITEM).to_pylist()]
    if None in ids or len(set(ids)) != len(ids):
        raise InputError(f"{path}: an id in column {_ITEM!r} is missing or there twice; give one of its own to every item")
    return [each for each in ids if each is not None]


def one_line(error: Exception) -> str:
    """What a library said, as part of a sentence."""
    return " ".join(str(error).split())[:300]


def _to_stream(ids: list[str]) -> bytes:
    batch = pa.record_batch([pa.array(ids, pa.large_string())], names=[_ITEM])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data
