"""What changes while a service runs: models, tokens; and what it writes down meanwhile."""

import asyncio
import gc
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from chordkit.errors import InputError, MissingRuntimeError
from chordkit.service.catalogue import Catalogue
from chordkit.service.tokens import Tokens, make_token

PROFILE = np.full(49, 0.5, "<f4").tobytes()


def _ask(service: Any, weights: Any) -> int:
    status: int = service("POST", "/v1/strategy", content=PROFILE, headers={"chord-fingerprint": weights.fingerprint.hex()}).status_code
    return status


def test_a_new_model_comes_and_an_old_one_goes_while_it_is_asked(make, material, tmp_path: Path, capsys) -> None:
    first = material.write_model(tmp_path / "models" / "one", seed=1)
    service = make(models=tmp_path / "models")
    held = service.state.catalogue.models[first.fingerprint.hex()]
    second = material.write_model(tmp_path / "models" / "two", seed=2)
    assert (_ask(service, first), _ask(service, second)) == (200, 409)
    service.state.refresh()
    assert (_ask(service, first), _ask(service, second)) == (200, 200)
    assert service.state.catalogue.models[first.fingerprint.hex()] is held  # not read again
    (tmp_path / "models" / "one").rename(tmp_path / "models" / ".one")
    gone = weakref.ref(held)
    del held
    gc.disable()  # which looks at nothing that was there when the service began
    try:
        service.state.refresh()
        assert gone() is None
    finally:
        gc.enable()
    assert (_ask(service, first), _ask(service, second)) == (409, 200)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [each["event"] for each in told] == ["model served", "model served", "model gone"]


@pytest.mark.parametrize("others", [0, 1])
def test_a_model_that_cannot_be_read_leaves_the_one_before(others: int, make, material, tmp_path: Path, capsys) -> None:
    weights = material.write_model(tmp_path / "models" / "a", seed=1)
    for number in range(others):
        material.write_model(tmp_path / "models" / f"b{number}", seed=2 + number)
    service = make(models=tmp_path / "models")
    file = tmp_path / "models" / "a" / "hypernetwork.safetensors"
    capsys.readouterr()
    whole = file.read_bytes()
    for damaged in (whole[:-8], b"", None):
        if damaged is None:
            file.unlink()
        else:
            file.write_bytes(damaged)
        service.state.refresh()
        assert _ask(service, weights) == 200
        assert "model refused" in capsys.readouterr().err
        service.state.refresh()
        assert capsys.readouterr().err == ""  # said once
    file.write_bytes(whole)
    service.state.refresh()
    assert _ask(service, weights) == 200


def test_of_two_models_for_one_backbone_the_later_name_answers(make, material, tmp_path: Path) -> None:
    headers = {"chord-fingerprint": material.write_model(tmp_path / "models" / "1", seed=1).fingerprint.hex()}
    service = make(models=tmp_path / "models")
    first = service("POST", "/v1/strategy", content=PROFILE, headers=headers).content
    material.write_model(tmp_path / "models" / "2", seed=1, hidden=8)
    service.state.refresh()
    second = service("POST", "/v1/strategy", content=PROFILE, headers=headers).content
    assert second[:4] == b"CHRE" and second != first


def test_a_look_that_fails_is_not_the_last_one(make, folder: Path, monkeypatch, capsys) -> None:
    service, looks = make(refresh_s=0.05), []

    def refresh() -> None:
        looks.append(1)
        raise RuntimeError("out of threads")

    monkeypatch.setattr(service.state, "refresh", refresh)

    async def work() -> None:
        async with service.app.router.lifespan_context(service.app):
            for _ in range(1200):
                if len(looks) > 1:
                    break
                await asyncio.sleep(0.05)

    asyncio.run(work())
    assert len(looks) > 1 and "refresh failed" in capsys.readouterr().err


def test_a_folder_without_models_is_refused_at_the_start_and_survived_later(material, tmp_path: Path) -> None:
    told: list[str] = []
    catalogue = Catalogue(tmp_path / "models", lambda event, text: told.append(text))
    with pytest.raises(InputError, match=r"there is no master\.chrm in it or in a folder in it; give a folder with"):
        catalogue.refresh()
    material.write_model(tmp_path / "models" / "a", seed=1)
    (tmp_path / "models" / "half").mkdir()
    assert catalogue.refresh() and len(catalogue.models) == 1
    assert not catalogue.refresh()
    (tmp_path / "models").rename(tmp_path / "gone")
    assert not catalogue.refresh() and len(catalogue.models) == 1 and "what was served is served on" in told[-1]
    (tmp_path / "gone").rename(tmp_path / "models")
    assert catalogue.refresh() is True and len(catalogue.models) == 1


def test_a_pool_of_another_backbone_is_refused(material, tmp_path: Path) -> None:
    material.write_model(tmp_path / "a", seed=0, with_pool=True)
    material.write_model(tmp_path / "b", seed=1)
    (tmp_path / "a" / "pool.safetensors").rename(tmp_path / "b" / "pool.safetensors")
    with pytest.raises(InputError, match=r"pool\.safetensors: pool: fingerprint"):
        Catalogue(tmp_path / "b", lambda event, text: None).refresh()


def test_tokens_are_rotated_while_it_runs(make, folder: Path, material, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    (old, old_line), (new, new_line) = make_token("shop"), make_token("shop")
    file.write_text(old_line + "\n")
    service = make(tokens=file)
    headers = {"chord-fingerprint": material.master().fingerprint.hex()}

    def status(token: str) -> int:
        answer = service("POST", "/v1/strategy", content=PROFILE, headers=headers | {"authorization": f"bearer {token}"})
        return int(answer.status_code)

    assert (status(old), status(new)) == (200, 401)
    for lines, expected in (([old_line, "", new_line + "  # the next"], (200, 200)), ([new_line], (401, 200)), (["shop"], (401, 200))):
        file.write_text("\n".join(lines))
        os.utime(file, ns=(1, len(lines[0]) * 1000 + len(lines)))
        service.state.refresh()
        assert (status(old), status(new)) == expected
    with pytest.raises(InputError, match="line 1: it is not a name and a SHA-256"):
        Tokens(file)
    file.write_text("# none\n")
    with pytest.raises(InputError, match="there is no token in it"):
        Tokens(file)
    with pytest.raises(InputError, match="is no name of an app"):
        make_token("two words")


def test_every_digest_is_compared_in_constant_time(tmp_path: Path, monkeypatch) -> None:
    compared = []

    def compare(digest: bytes, given: bytes) -> bool:
        compared.append(digest)
        return digest == given

    lines = [f"app{number} {hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(5)]
    (tmp_path / "tokens.txt").write_text("\n".join(lines))
    tokens = Tokens(tmp_path / "tokens.txt")
    monkeypatch.setattr("hmac.compare_digest", compare)
    assert tokens.app("0") == "app0" and len(set(compared)) == 5  # the first fits, and all are looked at
    assert tokens.app("x") is None and len(compared) == 10


def test_nothing_of_a_user_is_written_down(make, folder: Path, material, monkeypatch, capsys) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    service = make(access_log=True, tokens=folder / "tokens.txt")
    weights = material.master()
    headers = {"authorization": "Bearer secret", "chord-fingerprint": weights.fingerprint.hex(), "x-request-id": "abc-1"}
    body = {"fingerprint": weights.fingerprint.hex(), "items": [31, 37], "subject": "c0ffee", "serial": 4711}
    assert service("POST", "/v1/strategy", json=body, headers=headers).status_code == 200
    assert service("POST", "/v1/strategy?user=c0ffee", content=PROFILE, headers=headers | {"chord-subject": "c0ffee"}).status_code == 200
    assert service("POST", "/v1/strategy", json=body | {"profile": [4711.5]}, headers=headers).status_code == 422
    assert service("GET", "/c0ffee", headers=headers).status_code == 404
    assert service("POST", "/v1/strategy", content=PROFILE, headers={"authorization": "Bearer c0ffee"}).status_code == 401
    written = out.getvalue() + capsys.readouterr().err
    assert not any(each in written for each in ("c0ffee", "4711", "secret", "31, 37", "127.0.0.1"))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 422, 404, 401]
    assert lines[1].keys() == {"time", "method", "route", "status", "app", "in", "backbone", "out", "ms", "request"}
    assert (lines[1]["app"], lines[1]["in"], lines[1]["out"], lines[1]["request"]) == ("shop", 196, 104 + 3 + 24 + 24, "abc-1")
    assert (lines[3]["route"], lines[3]["method"]) == ("other", "-")


def test_a_log_that_nobody_reads_stops_nothing(make, material, monkeypatch, caplog) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert _ask(make(access_log=True), material.master()) == 200
    assert not [record for record in caplog.records if record.name == "asyncio"]  # no traceback a request either


def test_a_request_is_a_span_below_the_one_that_asked(make, material) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    service = make(provider, tracing=True)
    headers = {"chord-fingerprint": material.master().fingerprint.hex(), "chord-subject": "c0ffee"}
    parent = "0af7651916cd43dd8448eb211c80319c"
    service("POST", "/v1/strategy", content=PROFILE, headers=headers | {"traceparent": f"00-{parent}-b7ad6b7169203331-01"})
    (span,) = exporter.get_finished_spans()
    assert span.name == "POST /v1/strategy" and f"{span.context.trace_id:032x}" == parent
    assert span.attributes["http.response.status_code"] == 200 and "c0ffee" not in span.to_json()


def test_tracing_without_its_packages_names_the_extra(make, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingRuntimeError, match=r"pip install 'chordkit\[tracing\]'"):
        make(tracing=True)


def test_the_service_without_its_packages_names_the_extra_and_the_client_needs_none(command, folder: Path, monkeypatch) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['fastapi', 'starlette', 'uvicorn', 'prometheus_client', 'httpx']))\n"
        "from chordkit.service import Client\n"
        "Client('https://example.com')\n"
        "print([name for name in ('torch', 'polars') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = command("serve", folder / "models", "--bare")
    assert (outcome.status, outcome.err) == (2, "chordkit: the service needs the package fastapi; pip install 'chordkit[serve]'\n")


@pytest.mark.parametrize(("refresh_s", "hang_up"), [(0.05, False), (600.0, True)])
def test_models_and_tokens_are_looked_at_by_themselves_and_when_told(
    refresh_s: float, hang_up: bool, make, material, tmp_path: Path
) -> None:
    first = material.write_model(tmp_path / "models" / "one", seed=1)
    service = make(models=tmp_path / "models", refresh_s=refresh_s)

    async def work() -> None:
        async with service.app.router.lifespan_context(service.app):
            second = material.write_model(tmp_path / "models" / "two", seed=2)
            if hang_up:
                os.kill(os.getpid(), signal.SIGHUP)
            for _ in range(1200):
                if len(service.state.catalogue.models) == 2:
                    break
                await asyncio.sleep(0.05)
            assert service.state.catalogue.models.keys() == {first.fingerprint.hex(), second.fingerprint.hex()}

    asyncio.run(work())
