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

    def __format__(self, spec: str) -> str:
        """With ``+`` every number has its sign, as differences need it."""
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]" if spec == "+" else format(str(self), spec)
