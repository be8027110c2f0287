"""The report as a JSON document. It is the truth; a page shows nothing that is not in it. Version 2 is read as ever.

``make schemas`` writes ``report.schema.json`` beside this module.
"""

import os
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from chordkit.documents import Document, read_document
from chordkit.estimate import Estimate
from chordkit.evaluation.accuracy import Accuracy
from chordkit.export.artifact import Identity
from chordkit.files import write_bytes


class _Model(Document):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSummary(_Model):
    """What the models were trained and tested on."""

    name: str
    users: int
    items: int
    interactions: int
    fingerprint: str


class BackboneAccuracy(_Model):
    """The backbone trained in the usual way, FP32, on the held-out last item of each user."""

    protocol: str = Field(description="full, masked or sampled: which items the target is ranked among")
    ndcg5: Estimate
    ndcg10: Estimate
    hr5: Estimate
    hr10: Estimate


class Headline(_Model):
    """What the personal strategies are worth against the static one of the same size, and so what to ship."""

    worth_it: bool = Field(description="validation items of one half of the users say so, and test items of all confirm it")
    sentence: str
    against: str
    likelihood: Estimate = Field(description="own minus static on the test items, nats an item, seen items left out")
    masked_ndcg10: Estimate = Field(description="own minus static on the test items")
    validation: str = Field(description="the verdict by validation items alone")


class Truth(_Model):
    """Synthetic data only: how much of what can be gained by knowing the user's taste the personal strategies give."""

    measure: Literal["masked_likelihood", "masked_ndcg10"]
    sentence: str
    taste: Estimate = Field(description="an oracle that knows each user's taste and the last item")
    context: Estimate = Field(description="an oracle that knows the last item alone")
    own: Estimate
    static: Estimate
    share: Estimate = Field(description="(own - static) / (taste - context)")


class StrategyAccuracy(_Model):
    """One way to run the model: its widths, its cost and its accuracy on the test items."""

    key: str
    name: str
    personal: bool
    average_bits: float
    products: float = Field(description="share of the channel layers' multiply-adds that is left")
    phone_bytes: int = Field(description="of the packed weights")
    wire_bytes: int = Field(description="sent a user")
    masked_ndcg10: Estimate = Field(description="among all items that the user has not seen")
    n100_ndcg10: Estimate = Field(description="among 100 random ones of these")
    likelihood: Estimate = Field(description="log probability of the item, nats, seen items left out")
    own_minus_this: Estimate | None = Field(None, description="paired difference of masked NDCG@10 over users")
    own_minus_this_likelihood: Estimate | None = Field(None, description="paired difference of the log probability over users")


class ParitySummary(_Model):
    """Agreement of an artifact with the PyTorch reference."""

    histories: int
    max_error: float
    mean_error: float
    relative_rms_error: float
    kendall_tau: float
    top10_overlap: float
    ndcg_difference: float
    tolerance: str
    passed: bool


class LatencySummary(_Model):
    """One thread, one history, steady state; microseconds, but for load and memory."""

    load_ms: float
    first_call_us: float
    min_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    coefficient_of_variation: float
    calls: int
    peak_memory_mib: float | None = None
    comparable: bool = True


class ArtifactSummary(Identity, _Model):
    """One runnable file, or the eager PyTorch reference beside them (no bytes, no parity).

    Attributes:
        bytes: of the file, and of the master where it is called with that.
    """

    bundle: str | None = None
    user: str | None = None
    average_bits: float | None = None
    bytes: int | None = None
    parity: ParitySummary | None = None
    latency: LatencySummary | None = None


class EmulatedLine(_Model):
    """An artifact on an emulated phone: instructions of one rerank and of one adoption, and us by a clock that counts instructions."""

    name: str
    instructions: float | None
    adoption_instructions: float | None
    emulated_us: float
    ratio: Estimate | None
    peak_memory_mib: float | None


class EmulatedPhone(_Model):
    """What was measured on an emulated phone, and on which; ``baseline`` is what the ratios are taken against."""

    device: str
    machine: str
    baseline: str | None
    lines: list[EmulatedLine]


class LayerWidths(_Model):
    """Widths of one layer's channels, a digit a channel: 0, 2, 4 or 8."""

    layer: str
    widths: Annotated[str, Field(pattern="^[0248]+$")]


class UserStrategy(_Model):
    """The strategy that the cloud made for one user."""

    user: str
    average_bits: float
    wire_bytes: int
    layers: list[LayerWidths]


class Personalisation(_Model):
    """How much strategies depend on the user."""

    users: int
    mean_pairwise_difference: float = Field(description="share of channels whose width differs, mean over pairs of users")
    mean_difference_in_time: float | None = Field(None, description="the same between two moments of one user")


class BundleSummary(_Model):
    """A deployable file."""

    file: str
    holds: str
    bytes: int
    members: int
    signed: bool
    backbone_fingerprint: str


class SizeLine(_Model):
    """Bytes of the weights on the phone, in one of the ways to store them."""

    name: str
    layers: int = Field(description="the layers that a strategy is about: packed codes, and a scale for each channel that is on")
    tables: int = Field(description="embedding tables: packed codes, and a scale a row")
    rest: int = Field(description="biases, norms and whatever else is FP32")

    @property
    def total(self) -> int:
        """All of them."""
        return self.layers + self.tables + self.rest


class CatalogueSizes(_Model):
    """The ways to store a model with a catalogue of ``items``; of other catalogues than the own one only the item table differs."""

    items: int
    own: bool
    fp32: SizeLine
    int8: SizeLine
    strategy: SizeLine
    int8_small_tables: SizeLine = Field(description="int8 layers, int4 item table")
    strategy_small_tables: SizeLine = Field(description="a strategy's layers, int4 item table")


class Sizes(_Model):
    """What a strategy saves in bytes, and what an int4 item table would save beside it."""

    average_bits: float
    dim: int
    table_bits: int = Field(description="of the item table as it is")
    catalogues: list[CatalogueSizes]


class Epoch(_Model):
    """One epoch of a training: its loss, and what it was judged by."""

    epoch: int
    loss: float
    valid_ndcg10: float | None = None
    valid_likelihood: float | None = None


class TrainingLog(_Model):
    """How a training went; ``best`` is the epoch that was kept."""

    name: str
    architecture: str
    best: int
    epochs: list[Epoch]


class Benefit(_Model):
    """What personal strategies are worth within one budget: every rival, and the verdict."""

    title: str = ""
    headline: Headline
    truth: list[Truth] = []  # noqa: RUF012 (pydantic copies it)
    strategy_accuracy: list[StrategyAccuracy]
    accuracy_protocol: str
    personalisation: Personalisation | None = None


class ServedStrategies(_Model):
    """Strategies that phones asked a service for over HTTP, on loopback."""

    requests: int
    accepted: int = Field(description="envelopes whose signature, serial, subject and backbone the phone found right")
    profile_bytes: int = Field(description="body of a request: what leaves the phone")
    answer_bytes: int = Field(description="body of an answer: the signed envelope")
    p50_ms: float = Field(description="from the question to the checked envelope")
    p99_ms: float


class ReleaseHeld(_Model):
    """How many phones run a release; 0 is the bundle that ships with the app."""

    release: int
    phones: int


class RolloutStep(_Model):
    """A change of a channel, and what phones have after each of them has looked at the mirror once more."""

    what: str
    held: list[ReleaseHeld]
    failed: int = Field(description="phones whose self-check failed in this step, and which went on with what they had")
    bytes: int = Field(description="that all phones fetched in this step")
    idle_bytes: int | None = Field(None, description="that a phone fetched for which there was nothing new, on average")


class StoppedRelease(_Model):
    """A release that was stopped because self-checks on phones failed."""

    release: int
    percent: float = Field(description="of its cohort that it was staged to")
    phones: int = Field(description="that it was meant for in the end")
    reports: int = Field(description="that had come when it was stopped")
    failures: int
    adopted: int = Field(description="phones that run it: their own self-check passed")


class Cloud(_Model):
    """What a service and a release channel did for simulated phones."""

    strategies: ServedStrategies | None = None
    phones: int = 0
    bundle_bytes: int = 0
    rollout: list[RolloutStep] = []  # noqa: RUF012 (pydantic copies it)
    stopped: StoppedRelease | None = None


class Stage(_Model):
    """Wall time of one step of the way."""

    name: str
    seconds: float


class StageSummary(_Model):
    """One stage of the way from the float model to an artifact on its runtime."""

    name: str
    what: str
    verdict: Literal["right", "wrong", "told", "absent"]
    relative_rms_error: float | None = Field(default=None, description="of its scores, from the reference's; null where nothing was run")
    reason: str | None = None


class StagesSummary(_Model):
    """The stages of an artifact up to the first that is wrong."""

    bundle: str
    artifact: str
    stages: list[StageSummary]
    first_bad: str | None = None
    layer: str | None = Field(default=None, description="the first table, layer or tensor that is wrong at that stage")
    found_by: str | None = None


class Report(_Model):
    """What is known of a run. A part that nobody measured is not there, and its section is not drawn."""

    format: Literal["chordkit-report"] = "chordkit-report"
    version: Literal[2, 3] = 3
    title: str
    created: str
    chordkit: str
    commit: str
    seed: int | None = None
    machine: dict[str, str | int | float | bool | list[str]] = {}  # noqa: RUF012 (pydantic copies it)
    runtimes: dict[str, str] = {}  # noqa: RUF012 (pydantic copies it)
    dataset: DatasetSummary | None = None
    benefits: list[Benefit] = []  # noqa: RUF012 (pydantic copies it)
    accuracy: list[Accuracy] = []  # noqa: RUF012 (pydantic copies it)
    backbone: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies it)
    backbone_accuracy: list[BackboneAccuracy] = []  # noqa: RUF012 (pydantic copies it)
    artifacts: list[ArtifactSummary] = []  # noqa: RUF012 (pydantic copies it)
    walks: list[StagesSummary] = []  # noqa: RUF012 (pydantic copies it)
    sizes: Sizes | None = None
    latency_protocol: str = ""
    emulated: EmulatedPhone | None = None
    cloud: Cloud | None = None
    strategies: list[UserStrategy] = []  # noqa: RUF012 (pydantic copies it)
    bundles: list[BundleSummary] = []  # noqa: RUF012 (pydantic copies it)
    trainings: list[TrainingLog] = []  # noqa: RUF012 (pydantic copies it)
    stages: list[Stage] = []  # noqa: RUF012 (pydantic copies it)
    notes: list[str] = []  # noqa: RUF012 (pydantic copies it)

    @property
    def personalisation_share(self) -> float | None:
        """Share of channels that differs between two users, where it was measured."""
        found = (each.personalisation.mean_pairwise_difference for each in self.benefits if each.personalisation)
        return next(found, None)

    @model_validator(mode="before")
    @classmethod
    def _from_version_2(cls, data: Any) -> Any:
        """Version 2 had one benefit, its fields among the report's own."""
        if not isinstance(data, dict) or data.get("version") != 2:
            return data
        moved = {name: data[name] for name in Benefit.model_fields if name in data and name != "title"}
        kept = {name: value for name, value in data.items() if name not in moved}
        return kept | {"version": 3, "benefits": [moved]}


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of ``report.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema()}


def save_json(report: Report, path: str | os.PathLike[str]) -> None:
    """Write ``report.json`` atomically."""
    write_bytes(path, (report.model_dump_json(indent=2) + "\n").encode())


def load_json(path: str | os.PathLike[str]) -> Report:
    """Read a ``report.json``.

    Raises:
        InputError: the file is missing, is not JSON, is of another version, or breaks the schema; the message names the field.
    """
    return read_document(path, Report, "report", "make one with 'chordkit demo' or 'chordkit report --document'")
