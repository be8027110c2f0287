"""What a service of strategies does on this machine: requests a second of its processor, waiting at 70 % of what it can, and what becomes
of three times as many. Server and load are two processes on loopback; nothing runs longer than it says.

    python benchmarks/service.py --seconds 10
    python benchmarks/service.py --seconds 2 --reports 10       # instead: what reports of releases cost, two services in turns
"""

import argparse
import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, initialise, make_master
from chordkit.hypernetwork import HypernetworkOptions, save_hypernetwork
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.release import Release, Stage
from chordkit.release.registry import Registry
from chordkit.service.tokens import make_token
from chordkit.signing import generate_key_pair

SATURATING = 64
MOST_CONNECTIONS = 400
DEADLINE_MS = 250
TICKS = os.sysconf("SC_CLK_TCK")


def make_folder(folder: Path, items: int) -> tuple[str, int, str]:
    """A model of d = 64 that nobody trained, which takes as long as one that somebody did: fingerprint, numbers of a profile, token."""
    (folder / "models").mkdir()
    backbone = initialise(build(SASRecConfig(items=items, dim=64, max_length=50, blocks=2, heads=1)), seed=1)
    master = make_master(backbone)
    master.save(folder / "models" / "master.chrm")
    network = Hypernetwork(master, HypernetworkOptions()).initialise(torch.Generator().manual_seed(0))
    save_hypernetwork(folder / "models" / "hypernetwork.safetensors", network)
    generate_key_pair(folder / "key.pem", folder / "key.pub.pem")
    token, line = make_token("benchmark")
    (folder / "tokens.txt").write_text(line + "\n")
    return master.fingerprint.hex(), 3 * 64 + 1, token


class Server:
    """``chordkit serve`` in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "chordkit", "serve", "run", "models", "--key", "key.pem", "--tokens", "tokens.txt"]
        self.log = open(folder / f"access-{self.port}.log", "wb")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen([*command, "--port", str(self.port), *options], cwd=folder, stdout=self.log)
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.1)
            if self.process.poll() is not None:
                break
        raise SystemExit("the service did not start")

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        """Memory now."""
        line = next(each for each in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self) -> float:
        """End it; returns how long that took."""
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()
        return time.perf_counter() - begun


@dataclass
class Seen:
    """What the load saw."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    improper: int = 0
    unsent: int = 0


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load, self._buffer, self._due = load, b"", 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.seen.improper += self._due > 0
        self.transport = None

    def send(self, due: float) -> None:
        assert self.transport is not None
        self._due = due
        self.transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        length = int(lowered.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        waited, self._due = time.perf_counter() - self._due, 0.0
        if head[9:12] == b"200" and body[:4] == b"CHRE":
            self._load.seen.accepted.append(waited)
        elif head[9:12] == b"503" and b"\r\nretry-after: " in lowered and body.startswith(b'{"detail":'):
            self._load.seen.refused.append(waited)
        else:
            self._load.seen.improper += 1
        self._load.free(self)


class Load:
    """Requests to a service for some seconds: as fast as its answers come, or at a rate, whatever comes.

    With a rate, waiting counts from when a request was due, not from when a connection was there for it.
    """

    def __init__(self, port: int, requests: list[bytes], connections: int, rate: float | None) -> None:
        self._port, self._requests, self._connections, self._rate = port, requests, connections, rate
        self._idle: list[Connection] = []
        self._sent, self._running = 0, False
        self.seen = Seen()

    def next_request(self) -> bytes:
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def free(self, connection: Connection) -> None:
        if self._rate is None and self._running:
            connection.send(time.perf_counter())
        else:
            self._idle.append(connection)

    async def run(self, seconds: float) -> Seen:
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port) for _ in range(self._connections)]
        begun = time.perf_counter()
        self._running = True
        if self._rate is None:
            for connection in [self._idle.pop() for _ in range(len(self._idle))]:
                connection.send(time.perf_counter())
            await asyncio.sleep(seconds)
        else:
            due = 0
            while (now := time.perf_counter() - begun) < seconds:
                while due < now * self._rate:
                    if self._idle:
                        self._idle.pop().send(begun + due / self._rate)
                    else:
                        self.seen.unsent += 1
                    due += 1
                await asyncio.sleep(0.001)
        self._running = False
        await asyncio.sleep(0.5)
        for transport, _ in made:
            transport.abort()
        await asyncio.sleep(0)
        return self.seen


def make_requests(fingerprint: str, width: int, token: str, report: bool = False) -> list[bytes]:
    """As an app sends them, of 256 users; with a report, which few phones of many have in common."""
    generator = np.random.default_rng(0)
    made = []
    for user in range(256):
        body = (generator.normal(size=width) * 0.1).astype("<f4").tobytes()
        head = [
            "POST /v1/strategy HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {token}",
            "Content-Type: application/octet-stream",
            f"Content-Length: {len(body)}",
            f"Chord-Fingerprint: {fingerprint}",
            f"Chord-Serial: {user + 1}",
            f"Chord-Subject: {user:032x}",
            f"Chord-Deadline-Ms: {DEADLINE_MS}",
        ]
        if report:
            runtime, abi = ("native", "litert")[user % 2], ("arm64-v8a", "armeabi-v7a", "x86_64")[user % 3]
            check = "failed" if user % 200 == 0 else "passed" if user % 3 == 0 else "none"
            head.append(f"Chord-Report: release=2,counter=2,runtime={runtime},abi={abi},app=3.{user % 10}.0,check={check}")
        made.append("\r\n".join([*head, "", ""]).encode() + body)
    return made


def percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"n": 0}
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"n": len(seconds), "p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1), "most_ms": round(max(seconds) * 1000, 1)}


def measure(server: Server, requests: list[bytes], connections: int, rate: float | None, seconds: float) -> dict[str, object]:
    """One load, and what it cost the server."""
    cpu, begun = server.cpu_s(), time.perf_counter()
    seen = asyncio.run(Load(server.port, requests, connections, rate).run(seconds))
    cpu = server.cpu_s() - cpu
    accepted = len(seen.accepted)
    late = sum(each * 1000 > DEADLINE_MS for each in seen.accepted)
    return {
        "wall_s": round(time.perf_counter() - begun, 1),
        "server_cpu_s": round(cpu, 2),
        "accepted_a_cpu_s": round(accepted / cpu),
        "answered_a_cpu_s": round((accepted + len(seen.refused)) / cpu),
        "accepted": percentiles(seen.accepted) | {"later_than_deadline": late},
        "refused": percentiles(seen.refused),
        "improper": seen.improper,
        "no_connection_free": seen.unsent,
        "resident_mb": round(server.resident_mb(), 1),
    }


REGISTRY = "registry.sqlite"


def make_registry(folder: Path) -> Registry:
    """Three releases, the last one staged."""
    registry = Registry.open(f"sqlite:///{folder / REGISTRY}")
    with registry.transaction() as transaction:
        for number in (1, 2, 3):
            stage = Stage("0" * 32, 100 if number == 3 else 10_000)
            transaction.add(Release(number, number, "0" * 16, "0" * 64, "shop.chord", 1, stage), "staged" if number == 3 else "live")
    return registry


def compare(folder: Path, fingerprint: str, width: int, token: str, seconds: float, rounds: int) -> dict[str, object]:
    """The same load on two services in turns: one knows of no channel, the other one gets a report with every request."""
    registry = make_registry(folder)
    services = {
        "without": (Server(folder), make_requests(fingerprint, width, token)),
        "with": (Server(folder, "--channel", f"sqlite:///{REGISTRY}"), make_requests(fingerprint, width, token, report=True)),
    }
    found: dict[str, list[float]] = {name: [] for name in services}
    reported = 0
    for turn in range(rounds + 1):
        for name in sorted(services, reverse=turn % 2 == 0):
            server, requests = services[name]
            measured = measure(server, requests, SATURATING, None, seconds)
            if measured["improper"]:
                raise SystemExit(f"{measured['improper']} answers were none")
            reported += measured["accepted"]["n"] if name == "with" else 0  # type: ignore[index]
            if turn:  # the first one warms up
                found[name].append(measured["accepted_a_cpu_s"])  # type: ignore[arg-type]
    for server, _ in services.values():
        server.stop()
    ratios = [reports / plain for reports, plain in zip(found["with"], found["without"], strict=True)]
    counted = sum(each.passed + each.failed for each in registry.health(2))
    return {
        "answers_a_cpu_s": {name: [round(float(each)) for each in np.percentile(values, [0, 50, 100])] for name, values in found.items()},
        "with_to_without": [round(float(each), 3) for each in np.percentile(ratios, [0, 50, 100])],
        "reports_sent": reported,
        "passed_or_failed_in_the_registry": counted,
    }


def main() -> None:
    """Start, measure, end, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, choices=[1.0, 2.0, 5.0, 10.0, 20.0], help="of each of the three loads")
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--reports", type=int, default=0, metavar="ROUNDS", help="compare services with and without reports instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fingerprint, width, token = make_folder(folder, options.items)
        if options.reports:
            compared = compare(folder, fingerprint, width, token, options.seconds, options.reports)
            print(json.dumps(compared | {"cores": os.cpu_count(), "load": os.getloadavg()[0]}, indent=1))
            return
        requests = make_requests(fingerprint, width, token)
        server = Server(folder)
        asyncio.run(Load(server.port, requests, SATURATING, None).run(1.0))  # warm
        found: dict[str, object] = {"saturated": measure(server, requests, SATURATING, None, options.seconds)}
        accepted = found["saturated"]["accepted"]["n"] / options.seconds  # type: ignore[index]
        found["requests_a_second"] = round(accepted)
        found["at 70 %"] = measure(server, requests, MOST_CONNECTIONS, 0.7 * accepted, options.seconds)
        found["at 300 %"] = measure(server, requests, MOST_CONNECTIONS, 3 * accepted, options.seconds)
        found["at 70 % again"] = measure(server, requests, MOST_CONNECTIONS, 0.7 * accepted, options.seconds)
        found["end_s"] = round(server.stop(), 2)
        found["status"] = server.process.returncode
    found["deadline_ms"] = DEADLINE_MS
    found["cores"] = os.cpu_count()
    found["load"] = os.getloadavg()[0]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
