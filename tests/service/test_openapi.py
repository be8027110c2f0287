"""The OpenAPI says what the service does: schemathesis makes requests from it, right and wrong ones, and holds every answer against it."""

from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

load_all_checks()


@pytest.fixture(scope="module")
def operations(make: Any) -> dict[str, Any]:
    rejections = {"checks": {"negative_data_rejection": {"expected-statuses": [401, 409, 413, 415, 422]}}}
    app = make(deadline_ms=60_000).app
    document = schemathesis.openapi.from_asgi("/openapi.json", app, config=schemathesis.Config.from_dict(rejections))
    found = [operation.ok() for operation in document.get_all_operations()]
    return {operation.path: operation for operation in found}


RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
CASES = [(path, mode) for path in ("/v1/strategy", "/v1/samples") for mode in (RIGHT, WRONG)]
CASES += [(path, RIGHT) for path in ("/healthz", "/readyz", "/metrics")]


@pytest.mark.parametrize(("path", "mode"), CASES, ids=lambda value: getattr(value, "value", value))
def test_every_answer_is_one_that_the_document_names(path: str, mode: Any, operations: dict[str, Any], material: Any) -> None:
    fingerprint = material.master().fingerprint.hex()
    statuses = set()

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(operations[path].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if mode == RIGHT:
            # No document knows which backbones are served; with another one, nothing behind that would be reached.
            if "Chord-Fingerprint" in (case.headers or {}):
                case.headers["Chord-Fingerprint"] = fingerprint
            if isinstance(case.body, dict):
                case.body["fingerprint"] = fingerprint
        # Nor how many numbers its profiles have.
        statuses.add(case.call_and_validate(excluded_checks=[positive_data_acceptance]).status_code)

    ask()
    assert statuses <= ({200, 422} if path.startswith("/v1") else {200}) | (
        {401, 409, 413, 415} if mode == GenerationMode.NEGATIVE else set()
    )
