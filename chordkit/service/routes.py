"""The routes: from a request to its answer."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from chordkit.errors import ReleaseError, SampleError, StrategyError
from chordkit.release.report import Report
from chordkit.service import openapi
from chordkit.service.batching import Busy
from chordkit.service.metrics import CONTENT_TYPE
from chordkit.service.model import LARGEST_NUMBER, Model
from chordkit.service.reports import Heard
from chordkit.service.settings import MOST_BODY_BYTES, bits_in_words
from chordkit.service.state import SamplesQuestion, State, StrategyQuestion
from chordkit.service.wanted import (
    DEADLINE,
    ITEMS_TYPE,
    JSON_TYPE,
    PROFILE_TYPE,
    Refused,
    SamplesRequest,
    SamplesTerms,
    StrategyRequest,
    StrategyTerms,
    items_of,
    read_json,
    read_terms,
)

NOTE = "chordkit"
"""Where a request's scope holds what the access log says of it."""
BODY_S = 10
"""Within which a body is here; who sends slower keeps a connection and no more."""
_NO_STORE = {"cache-control": "no-store"}
Headers = dict[bytes, bytes]


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _Route(APIRoute):
    """A route whose function takes the request itself: what it needs is read by hand, in a fifth of the time, and what it refuses is said
    in one sentence."""

    def get_route_handler(self) -> Handler:
        """The function, with refusals as answers."""
        return answering(self.endpoint)


def answering(endpoint: Callable[..., Any]) -> Handler:
    """A route's function, with refusals as answers."""

    async def handle(request: Request) -> Response:
        try:
            answer: Response = await endpoint(request)
        except Refused as refusal:
            answer = JSONResponse({"detail": refusal.sentence}, refusal.status, refusal.headers)
        except Busy as busy:
            sentence = f"the service has more to do than it can; ask again in {busy.retry_after} s"
            answer = JSONResponse({"detail": sentence}, 503, {"retry-after": busy.retry_after})
        except ClientDisconnect:
            answer = Response(status_code=400)  # which nobody reads
        return answer

    return handle


router = APIRouter(route_class=_Route)


@router.post("/v1/strategy", openapi_extra=openapi.STRATEGY, responses=openapi.STRATEGY_RESPONSES, response_class=Response)
async def strategy(request: Request) -> Response:
    """A strategy for a profile, in a signed envelope.

    The same request gets the same bytes, from every process and after every restart, so that asking again costs nothing. What a report
    is answered with stands in a header beside them.
    """
    state: State = request.app.state.service
    headers = dict(request.scope["headers"])
    _let_in(state, headers, request)
    deadline = _deadline(state, headers)
    kind, body = await _body(request, headers)
    terms: StrategyRequest | StrategyTerms
    terms = read_json(StrategyRequest, body) if kind == JSON_TYPE else read_terms(StrategyTerms, headers)
    model = _model(state, terms.fingerprint, request)
    bits = _bits(state, model, terms)
    if terms.form == "envelope" and state.key is None:
        raise Refused(422, "form: this service has no key to sign with; ask for form strategy")
    if terms.form == "strategy" and not state.settings.bare:
        raise Refused(422, "form: this service hands out signed envelopes alone; ask for form envelope")
    profile = _profile(state, model, kind, body, terms, model.pools, model.width)
    heard = _heard(state, terms)
    question = StrategyQuestion(profile, terms.form == "envelope", terms.serial, bytes.fromhex(terms.subject))
    answer = await state.batcher.ask((model, bits), question, deadline)
    if heard is None or state.reports is None:
        return Response(answer, media_type=PROFILE_TYPE, headers=_NO_STORE)
    state.reports.count(heard)
    return Response(answer, media_type=PROFILE_TYPE, headers=_NO_STORE | heard.headers)


@router.post("/v1/samples", openapi_extra=openapi.SAMPLES, responses=openapi.BINARY_RESPONSES, response_class=Response)
async def samples(request: Request) -> Response:
    """Samples of others that are like a profile, as CHRS."""
    state: State = request.app.state.service
    headers = dict(request.scope["headers"])
    _let_in(state, headers, request)
    deadline = _deadline(state, headers)
    kind, body = await _body(request, headers)
    terms: SamplesRequest | SamplesTerms
    terms = read_json(SamplesRequest, body) if kind == JSON_TYPE else read_terms(SamplesTerms, headers)
    model = _model(state, terms.fingerprint, request)
    if model.matcher is None:
        raise Refused(404, f"samples: this service has no pool for backbone {terms.fingerprint}")
    pool = model.matcher.pool
    profile = _profile(state, model, kind, body, terms, pool.pools, pool.codes.shape[1] + 1)
    try:
        answer = await state.samples(SamplesQuestion(model, profile, terms.count, terms.most_bytes), deadline)
    except SampleError as error:
        raise Refused(422, str(error)) from None
    return Response(answer, media_type=PROFILE_TYPE, headers=_NO_STORE)


@router.get("/healthz", responses=openapi.HEALTH_RESPONSES, response_class=JSONResponse)
async def healthz(request: Request) -> Response:
    """Whether the process lives."""
    return JSONResponse({"alive": True})


@router.get("/readyz", responses=openapi.READY_RESPONSES, response_class=JSONResponse)
async def readyz(request: Request) -> Response:
    """Whether requests should come here: there are models, and the service was not told to end."""
    state: State = request.app.state.service
    models = {fingerprint: {"samples": model.matcher is not None} for fingerprint, model in sorted(state.catalogue.models.items())}
    return JSONResponse({"ready": not state.draining, "models": models}, 503 if state.draining else 200)


@router.get("/metrics", responses=openapi.METRICS_RESPONSES, response_class=Response)
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    state: State = request.app.state.service
    return Response(state.metrics.exposition(), headers={"content-type": CONTENT_TYPE})


DIRECT = {"/v1/strategy": answering(strategy)}
"""Routes that are asked a thousand times as often as all others."""


def _let_in(state: State, headers: Headers, request: Request) -> None:
    if state.tokens is None:
        return
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    app = state.tokens.app(token) if scheme.lower() == "bearer" else None
    if app is None:
        raise Refused(401, "authorization: there is no token, or it is none of this service's", {"www-authenticate": "Bearer"})
    request.scope[NOTE]["app"] = app


def _deadline(state: State, headers: Headers) -> float:
    given = headers.get(DEADLINE)
    most = state.settings.deadline_ms
    if given is not None:
        if not (given.isdigit() and len(given) <= 9 and int(given)):
            raise Refused(422, "header Chord-Deadline-Ms: give whole milliseconds, 1 or more")
        most = min(most, int(given))
    return time.monotonic() + most / 1000


async def _body(request: Request, headers: Headers) -> tuple[str, bytes]:
    """Media type and content, no larger than it may be."""
    kind = headers.get(b"content-type", PROFILE_TYPE.encode()).decode("latin-1").partition(";")[0].strip().lower()
    if kind not in (PROFILE_TYPE, ITEMS_TYPE, JSON_TYPE):
        raise Refused(415, f"content-type: send {PROFILE_TYPE}, {ITEMS_TYPE} or {JSON_TYPE}")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and (len(length) > 9 or int(length) > MOST_BODY_BYTES):
        raise _too_large()
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_S):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > MOST_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise Refused(408, f"body: it was not here after {BODY_S} s", {"connection": "close"}) from None
    request.scope[NOTE]["in"] = len(body)
    return kind, body


def _too_large() -> Refused:
    # What is still to come is not read: the connection cannot be used again.
    return Refused(413, f"body: it has more than {MOST_BODY_BYTES} bytes", {"connection": "close"})


def _model(state: State, fingerprint: str, request: Request) -> Model:
    model = state.catalogue.models.get(fingerprint)
    if model is None:
        served = ", ".join(sorted(state.catalogue.models))
        raise Refused(409, f"fingerprint: backbone {fingerprint} is not served here, but {served}; fetch the current bundle")
    request.scope[NOTE]["backbone"] = fingerprint
    return model


def _heard(state: State, terms: StrategyTerms) -> Heard | None:
    """What the phone reports, where there is a registry for it."""
    if terms.report is None:
        return None
    try:
        if state.reports is not None:
            return state.reports.hear(terms.report, terms.device)
        Report.parse(terms.report)
    except ReleaseError as error:
        raise Refused(422, str(error)) from None
    return None


def _bits(state: State, model: Model, terms: StrategyTerms) -> float | None:
    bits = terms.bits
    if terms.device is not None:
        if bits is not None:
            raise Refused(422, "device: give either device or bits")
        classes = dict(state.settings.devices)
        if terms.device not in classes:
            raise Refused(422, f"device: {terms.device} is none of this service's classes ({', '.join(classes)}); or give bits")
        bits = classes[terms.device]
    try:
        model.budget(bits)
    except StrategyError as error:
        raise Refused(422, f"{error}; ask for {bits_in_words()} within that, or for no budget") from None
    return bits


def _profile(state: State, model: Model, kind: str, body: bytes, terms: Any, pools: tuple[int, ...], width: int) -> np.ndarray:
    """The profile float32 [width] of a request, or of its items."""
    if kind == ITEMS_TYPE or (kind == JSON_TYPE and terms.items):
        if not state.settings.items:
            raise Refused(422, "items: this service takes profiles alone")
        items = items_of(body) if kind == ITEMS_TYPE else terms.items
        if max(items) > model.items:
            raise Refused(422, f"items: {max(items)} is beyond the catalogue's {model.items}")
        return model.profile(items, pools)
    if kind == JSON_TYPE:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused
            profile = np.asarray(terms.profile).astype(np.float32)
    elif len(body) % 4:
        raise Refused(422, f"body: {len(body)} bytes are no float32 numbers")
    else:
        profile = np.frombuffer(body, "<f4")
    if len(profile) != width:
        raise Refused(422, f"profile: {len(profile)} numbers instead of the {width} of this backbone's")
    if not float(np.abs(profile).max()) <= LARGEST_NUMBER:  # false for NaN too
        raise Refused(422, f"profile: it holds a number that is not finite, or above {LARGEST_NUMBER:,.0f}")
    return profile
