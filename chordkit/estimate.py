"""A number with its uncertainty: the one form in which metrics, latencies and reports carry it."""

from pydantic import BaseModel, ConfigDict


class Estimate(BaseModel):
    """An estimate and its 95 % interval."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"
