"""Real processes, real sockets: overload, a proxy, death and return, an end that drops nobody."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from chordkit.coda.samples import decode_samples
from chordkit.errors import InputError, ServiceError
from chordkit.release import Release, Stage
from chordkit.release.records import Health
from chordkit.release.registry import Registry
from chordkit.service import Client
from chordkit.strategy import seal

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""Of a machine that does other things meanwhile; nothing takes as long."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


SMALL = ("--queue", 4, "--linger-ms", 200, "--deadline-ms", 60_000)
TWO = ("--linger-ms", 500, "--deadline-ms", 60_000, "--workers", 2, "--drain-s", 1, "--refresh-s", 3600, "--channel", "sqlite:///r.sqlite")


@dataclass
class Service:
    """``chordkit serve`` on loopback."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    options: tuple[object, ...] = ()

    def need(self, *options: object) -> None:
        """Run with these options: any of the tests may be the first of its worker."""
        if self.process is None or self.process.poll() is not None or self.options != options:
            self.end()
            self.start(*options)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def start(self, *options: object) -> None:
        self.options = options
        command = [sys.executable, "-m", "chordkit", "serve", "models", "--key", "key.pem", "--tokens", "tokens.txt", "--port", self.port]
        log = open(self.folder / f"log-{time.monotonic_ns()}", "wb")  # noqa: SIM115 - the process's
        with log:
            self.process = subprocess.Popen(list(map(str, [*command, *options])), cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while self.get("/readyz")[0] != 200:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / log.name).read_text()
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status (0 = nobody listens) and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 0, b""

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_S)


def registry(folder: Path) -> Registry:
    return Registry.open(f"sqlite:///{folder}/r.sqlite")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Service]:
    service = Service(folder, free_port())
    with registry(folder).transaction() as transaction:
        transaction.add(Release(1, 0, "0" * 16, "0" * 64, "shop.chord", 1, Stage("0" * 32, 10_000)), "live")
    try:
        yield service
    finally:
        service.end()


@dataclass
class Question:
    """A request and the one right answer."""

    profile: np.ndarray
    serial: int
    answer: bytes

    def octets(self, fingerprint: str, *more: str) -> bytes:
        body = self.profile.astype("<f4").tobytes()
        lines = ["POST /v1/strategy HTTP/1.1", "Host: x", "Authorization: Bearer secret", f"Chord-Fingerprint: {fingerprint}"]
        return "\r\n".join([*lines, *more, f"Chord-Serial: {self.serial}", f"Content-Length: {len(body)}", "", ""]).encode() + body


@pytest.fixture(scope="module")
def questions(service: Any, material: Any, folder: Path) -> list[Question]:
    model = service.state.catalogue.models[material.master().fingerprint.hex()]
    profiles = material.profiles(40, seed=9)
    wires = model.strategies(profiles, model.budget(None))
    answers = [seal(wire, serial=place + 1, signing_key=folder / "key.pem") for place, wire in enumerate(wires)]
    return [Question(profile, place + 1, answer) for place, (profile, answer) in enumerate(zip(profiles, answers, strict=True))]


def ask_at_once(port: int, requests: list[bytes]) -> list[http.client.HTTPResponse]:
    """Each on a connection of its own, sent before any answer is read; bodies are read into ``body``."""
    sockets = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in requests]
    for each, request in zip(sockets, requests, strict=True):
        each.sendall(request)
    return [answer_of(each) for each in sockets]


def answer_of(connection: socket.socket) -> http.client.HTTPResponse:
    with connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.body = response.read()  # type: ignore[attr-defined]
        return response


def test_more_than_it_can_is_answered_in_part_and_refused_properly(running: Service, questions, material) -> None:
    running.need(*SMALL)
    fingerprint = material.master().fingerprint.hex()
    found = ask_at_once(running.port, [question.octets(fingerprint) for question in questions])
    accepted = [(response, question) for response, question in zip(found, questions, strict=True) if response.status == 200]
    refused = [response for response in found if response.status == 503]
    assert len(accepted) + len(refused) == len(questions) and len(accepted) >= 4 and len(refused) >= 4
    assert all(response.body == question.answer for response, question in accepted)
    assert all(int(response.headers["retry-after"]) >= 1 and json.loads(response.body)["detail"] for response in refused)


def test_a_client_gets_through_an_overload(running: Service, questions, material, folder: Path) -> None:
    running.need(*SMALL)
    fingerprint, waits = material.master().fingerprint, []
    url = f"http://127.0.0.1:{running.port}"
    flood = threading.Thread(target=ask_at_once, args=(running.port, [each.octets(fingerprint.hex()) for each in questions[:20]]))
    flood.start()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(0.02)  # in place of the second that the service asks for

    with Client(url, token="secret", public_keys=folder / "key.pub.pem", attempts=1000, sleep=sleep) as client:
        opened = client.strategy(fingerprint, questions[0].profile, serial=1)
    flood.join()
    assert opened.payload in questions[0].answer and all(1 <= wait <= 30 for wait in waits)


def make_certificate(folder: Path) -> ssl.SSLContext:
    """``cert.pem`` and ``cert.key`` for 127.0.0.1 and localhost, and a context that trusts them alone."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.key").write_bytes(private)
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


@pytest.mark.checkout
@pytest.mark.skipif(shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="nginx is not installed")
def test_the_proxy_of_the_documentation_ends_tls_and_shows_phones_what_is_for_them(
    running: Service, questions, material, folder: Path, tmp_path: Path
) -> None:
    running.need(*SMALL)
    context, port = make_certificate(tmp_path), free_port()
    site = (ROOT / "scripts" / "service" / "nginx.conf").read_text()
    for name, ours in {
        "127.0.0.1:8350": f"127.0.0.1:{running.port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/chordkit/fullchain.pem": str(tmp_path / "cert.pem"),
        "/etc/ssl/chordkit/key.pem": str(tmp_path / "cert.key"),
        "/var/log/nginx/chordkit.json": str(tmp_path / "access.json"),
    }.items():
        assert name in site
        site = site.replace(name, ours)
    kept = "".join(f"{kind}_temp_path {tmp_path / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user} daemon off; pid {tmp_path / 'pid'}; error_log {tmp_path / 'error.log'}; events {{}} http {{ {kept} {site} }}"
    )
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    proxy = subprocess.Popen([str(program), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")])
    try:
        url, fingerprint = f"https://localhost:{port}", material.master().fingerprint
        with Client(url, token="secret", public_keys=folder / "key.pub.pem", context=context, attempts=20) as client:
            for question in questions[:3]:
                assert client.strategy(fingerprint, question.profile, serial=question.serial).payload in question.answer
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            statuses = {}
            for path in ("/metrics", "/readyz", "/healthz", "/openapi.json", "/v1/strategy"):
                connection.request("POST", path, bytes(70_000) if path.startswith("/v1") else b"")
                answer = connection.getresponse()
                answer.read()
                statuses[path] = answer.status
        assert statuses == {"/metrics": 404, "/readyz": 404, "/healthz": 404, "/openapi.json": 404, "/v1/strategy": 413}
    finally:
        proxy.send_signal(signal.SIGQUIT)  # at once it would leave unwritten what it answered last
        proxy.wait(PATIENCE_S)
    lines = [json.loads(line) for line in (tmp_path / "access.json").read_text().splitlines()]
    assert len(lines) == 8 and "127.0.0.1" not in (tmp_path / "access.json").read_text()


def test_killed_and_started_again_under_load_nothing_that_was_answered_is_wrong(
    running: Service, questions, material, folder: Path
) -> None:
    running.need(*SMALL)
    fingerprint = material.master().fingerprint
    done, wrong, answered = threading.Event(), [], []

    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, 0.1))

    def load(first: int) -> None:
        url, keys = f"http://127.0.0.1:{running.port}", folder / "key.pub.pem"
        with Client(url, token="secret", public_keys=keys, attempts=5000, sleep=sleep) as client:
            place = first
            while not done.is_set() or len(answered) < 30:
                question = questions[place % len(questions)]
                place += 3
                found = client.strategy(fingerprint, question.profile, serial=question.serial)
                (answered if found.payload in question.answer else wrong).append(place)

    threads = [threading.Thread(target=load, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    while len(answered) < 6:
        time.sleep(0.01)
    running.signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    before = len(answered)
    running.start(*TWO)
    done.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not wrong and len(answered) > before


def test_two_processes_count_together(running: Service, questions, material) -> None:
    running.need(*TWO)
    ask_at_once(running.port, [question.octets(material.master().fingerprint.hex()) for question in questions[:2]])
    status, text = running.get("/metrics")
    assert status == 200 and b'chordkit_requests_total{route="/v1/strategy",status="200"}' in text


def test_told_to_end_it_says_so_answers_what_it_has_and_leaves_with_0(running: Service, questions, material, folder: Path) -> None:
    running.need(*TWO)
    fingerprint = material.master().fingerprint.hex()
    waiting = [socket.create_connection(("127.0.0.1", running.port), PATIENCE_S) for _ in questions]
    for each, question in zip(waiting, questions, strict=True):
        each.sendall(question.octets(fingerprint, "Chord-Report: release=1,runtime=native,abi=x86_64,check=passed"))
    running.signal(signal.SIGTERM)
    # Both processes have heard of it, and for a second they still take requests.
    deadline = time.monotonic() + PATIENCE_S
    statuses = {running.get("/readyz")[0]}
    while statuses != {0} and time.monotonic() < deadline:
        latest = running.get("/readyz")[0]
        statuses.add(latest)
        if latest == 0:
            break
    assert 503 in statuses
    found = [answer_of(each) for each in waiting]
    assert [response.body for response in found] == [question.answer for question in questions]
    assert {response.headers["chord-release"] for response in found} == {"1"}
    assert running.wait() == 0
    assert registry(folder).health(1) == (Health("native", "x86_64", len(questions), 0),)  # of both processes


def test_a_client_says_what_it_cannot_do(material) -> None:
    for wrong in ("ftp://localhost", "localhost:80", "https://localhost/v1/strategy", "https://"):
        with pytest.raises(InputError, match="is no address such as"):
            Client(wrong)
    with pytest.raises(InputError, match="give public_keys"):
        Client("http://localhost").strategy(bytes(8), material.profiles(1)[0])
    with pytest.raises(InputError, match="give at least 1"):
        Client("http://localhost", attempts=0)
    pauses: list[float] = []
    with pytest.raises(ServiceError, match="ConnectionRefusedError") as nobody:
        Client(f"http://127.0.0.1:{free_port()}", attempts=4, sleep=pauses.append).bare_strategy(bytes(8), material.profiles(1)[0])
    assert nobody.value.status is None and len(pauses) == 3 and 2 * pauses[0] <= 4 * pauses[2]


def test_uvicorn_can_end_tls_itself(make, questions, material, folder: Path, tmp_path: Path) -> None:
    import uvicorn

    from chordkit.service.server import Place, configuration

    context, port = make_certificate(tmp_path), free_port()
    asked = make()
    place = Place(port=port, certificate=tmp_path / "cert.pem", certificate_key=tmp_path / "cert.key")
    server = uvicorn.Server(configuration(asked.settings, place, asked.state))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with Client(f"https://localhost:{port}", public_keys=folder / "key.pub.pem", context=context, attempts=30) as client:
            fingerprint, profile = material.master().fingerprint, questions[0].profile
            assert client.strategy(fingerprint, profile).payload in questions[0].answer
            assert client.bare_strategy(fingerprint, profile) in questions[0].answer
            found = decode_samples(client.samples(fingerprint, profile, 9), fingerprint=fingerprint, items=material.ITEMS)
            assert found.samples == 9
            with pytest.raises(ServiceError, match="409: fingerprint: backbone") as refused:
                client.strategy(b"stranger", profile)
            assert refused.value.status == 409
        with Client(f"https://localhost:{port}", attempts=1) as stranger, pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.bare_strategy(fingerprint, profile)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
