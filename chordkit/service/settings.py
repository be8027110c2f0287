"""How a service is set up: what it answers with, whom it answers, and how much it takes on."""

from dataclasses import dataclass
from pathlib import Path

from chordkit.errors import InputError

LOWEST_BITS, HIGHEST_BITS, BITS_STEP = 2.5, 6.0, 0.25
"""Budgets that can be asked for: few enough that requests of a batch share one."""
DEVICES = (("small", 2.5), ("medium", 4.0), ("large", 6.0))
MOST_BODY_BYTES = 65_536
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus-client: where the processes of one service leave what they counted."""


@dataclass(frozen=True)
class Settings:
    """A service.

    Attributes:
        models: folder of a model (``master.chrm``, ``hypernetwork.safetensors`` and, for samples, ``pool.safetensors``), or of several
            such folders; looked at again every ``refresh_s``.
        key: private Ed25519 key (PEM) that envelopes are signed with; None = bare strategies alone.
        bare: whether strategies without an envelope are handed out.
        tokens: file with the digests of the apps' tokens; None = whoever asks is answered.
        channel: registry of releases that reports are added to and hints come from, by its URL or its channel's folder; exchanged with
            every ``refresh_s``; None = reports are read and dropped.
        items: whether a request may name items in place of a profile.
        devices: names of device classes and the average bits of each.
        queue: requests that may wait; the next one is refused.
        batch: requests that are computed together at most.
        linger_ms: how long the first request of a batch waits for others.
        deadline_ms: within which a request is answered that names no deadline of its own, or a later one.
        samples_queue: requests for samples that may wait.
        refresh_s: seconds between two looks at models and tokens.
        drain_s: how long a service that was told to end says that it is not ready before it takes no more connections.
        access_log: whether each request is a line of JSON on stdout.
        tracing: whether requests become spans of OpenTelemetry, which its own environment variables configure.

    Raises:
        InputError: a number outside its range, or neither a key nor ``bare``.
    """

    models: Path
    key: Path | None = None
    bare: bool = False
    tokens: Path | None = None
    channel: str | None = None
    items: bool = False
    devices: tuple[tuple[str, float], ...] = DEVICES
    queue: int = 256
    batch: int = 128
    linger_ms: float = 1.0
    deadline_ms: int = 1000
    samples_queue: int = 16
    refresh_s: float = 5.0
    drain_s: float = 0.0
    access_log: bool = True
    tracing: bool = False

    def __post_init__(self) -> None:
        if self.key is None and not self.bare:
            raise InputError(
                "serve: give --key to sign envelopes with, or say --bare: then strategies go out as they are, and anyone can forge one"
            )
        for name, bits in self.devices:
            if not allowed_bits(bits):
                raise InputError(f"serve: device class {name}: {bits:g} bits are not {bits_in_words()}")
        for name in ("queue", "batch", "deadline_ms", "samples_queue"):
            if getattr(self, name) < 1:
                raise InputError(f"serve: {name} = {getattr(self, name)} is not possible; give at least 1")
        for name in ("linger_ms", "drain_s"):
            if not 0 <= getattr(self, name) <= 600_000:
                raise InputError(f"serve: {name} = {getattr(self, name)} is not possible; give 0 or more")
        if not 0.05 <= self.refresh_s <= 86_400:
            raise InputError(f"serve: refresh_s = {self.refresh_s:g} is not possible; give 0.05 to 86400 seconds")


def allowed_bits(bits: float) -> bool:
    """Whether a budget can be asked for."""
    return LOWEST_BITS <= bits <= HIGHEST_BITS and (bits / BITS_STEP).is_integer()


def bits_in_words() -> str:
    """Which ones can."""
    return f"{LOWEST_BITS:g} to {HIGHEST_BITS:g} in steps of {BITS_STEP:g}"
