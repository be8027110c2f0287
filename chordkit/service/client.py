"""A client of the service for Python, of the standard library alone: answers are checked, and asked for again where that helps."""

import http.client
import json
import random
import re
import ssl
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from urllib.parse import urlsplit

import numpy as np

from chordkit.errors import InputError, ServiceError
from chordkit.release.report import Report
from chordkit.signing import TrustedKeys, VerifyingKey
from chordkit.strategy import Envelope, open_envelope

_MOST_ANSWER_BYTES = 1 << 20
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
_WORTH_ASKING_AGAIN = (502, 503, 504)


class Client:
    """A connection to a service; not for several threads at once.

    Args:
        url: ``https://host[:port]``, or ``http://`` on this machine.
        token: of the app.
        public_keys: whose envelopes are accepted, as files or keys.
        context: how TLS is checked; None = as Python does, with the system's authorities.
        timeout_s: of a connection and of every read.
        attempts: how often one request is made at most. The same request gets the same bytes, so asking again is safe.
        sleep: called with the seconds between two attempts.

    Raises:
        InputError: a URL that is none, a key that cannot be used, or no attempt at all.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        public_keys: VerifyingKey | Sequence[VerifyingKey] | TrustedKeys | None = None,
        context: ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise InputError(f"service: {url!r} is no address such as https://strategies.example.com")
        if attempts < 1:
            raise InputError(f"service: attempts = {attempts} is not possible; give at least 1")
        self._keys = None if public_keys is None else TrustedKeys.of(public_keys)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._attempts, self._sleep = attempts, sleep
        self.release_hint: int | None = None
        """Of the last answer: the highest release that is worth asking the mirrors for; None = it says nothing."""
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s, context=context)
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def strategy(
        self,
        fingerprint: bytes,
        profile: np.ndarray,
        *,
        bits: float | None = None,
        device: str | None = None,
        serial: int = 1,
        subject: bytes = b"",
        report: Report | None = None,
        deadline_ms: int | None = None,
    ) -> Envelope:
        """The strategy of a profile, out of an envelope that was checked as a phone checks it.

        Args:
            fingerprint: the 8 bytes of the backbone.
            profile: float ``[len(pools) * dim + 1]``.
            bits: average bits of a weight, 2.5 to 6; None = the backbone's own.
            device: instead, a class of devices.
            serial: one more than that of the last envelope that was adopted.
            subject: whom it is for; what the app compares envelopes with.
            report: what the phone runs and how its self-check ended; :attr:`release_hint` has what the service says to it.
            deadline_ms: after which no answer is wanted any more.

        Raises:
            InputError: this client has no public keys.
            EnvelopeError: what came is not signed by them, or is not what was asked for.
            ServiceError: the service said no, or could not be reached.
        """
        if self._keys is None:
            raise InputError("service: give public_keys, since an envelope is worth what its signature is; or ask for bare_strategy")
        terms = _terms(fingerprint, bits=bits, device=device, serial=serial, subject=subject.hex() or None, report=_header(report))
        sealed = self._post("/v1/strategy", terms, profile, deadline_ms)
        return open_envelope(sealed, self._keys, fingerprint=fingerprint, subject=subject, minimum_serial=serial, now=int(time.time()))

    def bare_strategy(
        self,
        fingerprint: bytes,
        profile: np.ndarray,
        *,
        bits: float | None = None,
        device: str | None = None,
        report: Report | None = None,
        deadline_ms: int | None = None,
    ) -> bytes:
        """The same without an envelope, as CHRD, where the service hands such out; whoever is on the way could have made it.

        Raises:
            ServiceError: the service said no, or could not be reached.
        """
        terms = _terms(fingerprint, bits=bits, device=device, form="strategy", report=_header(report))
        return self._post("/v1/strategy", terms, profile, deadline_ms)

    def samples(self, fingerprint: bytes, profile: np.ndarray, count: int = 200, *, deadline_ms: int | None = None) -> bytes:
        """Samples that are like a profile, as CHRS, for :func:`chordkit.coda.samples.decode_samples`.

        Raises:
            ServiceError: the service said no, or could not be reached.
        """
        return self._post("/v1/samples", _terms(fingerprint, count=count), profile, deadline_ms)

    def _post(self, path: str, terms: dict[str, str], profile: np.ndarray, deadline_ms: int | None) -> bytes:
        headers = self._headers | terms | {"Content-Type": "application/octet-stream"}
        if deadline_ms is not None:
            headers["Chord-Deadline-Ms"] = str(deadline_ms)
        body = np.ascontiguousarray(profile, "<f4").tobytes()
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(self._attempts)):
            try:
                self._connection.request("POST", path, body, headers)
                response = self._connection.getresponse()
                data = response.read(_MOST_ANSWER_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem = ServiceError(f"service: {self._connection.host}: {type(error).__name__}: {error}; check the address")
                wait_s = pause_s * random.uniform(0.5, 1.0)
            else:
                if response.status == 200 and len(data) <= _MOST_ANSWER_BYTES:
                    self.release_hint = _release(response.getheader("Chord-Release"))
                    return data
                problem = ServiceError(f"service: {response.status}: {_detail(data)}", response.status)
                if response.status not in _WORTH_ASKING_AGAIN:
                    break
                wait_s = _retry_after(response.getheader("Retry-After"), pause_s) * random.uniform(1.0, 1.5)
            if left:
                self._sleep(wait_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise problem


def _terms(fingerprint: bytes, **given: object) -> dict[str, str]:
    named = {f"Chord-{name.title()}": str(value) for name, value in given.items() if value is not None}
    return {"Chord-Fingerprint": fingerprint.hex(), **named}


def _header(report: Report | None) -> str | None:
    return None if report is None else report.header()


def _release(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch("[1-9][0-9]{0,15}", value) else None


def _retry_after(value: str | None, otherwise: float) -> float:
    return min(float(value), _LONGEST_PAUSE_S) if value is not None and value.isascii() and value.isdigit() else otherwise


def _detail(data: bytes) -> str:
    try:
        return str(json.loads(data[:4096])["detail"])
    except (ValueError, KeyError, TypeError):
        return "an answer that does not say why"
