"""What operators and orchestrators ask: is it alive, is it ready, what does it do?"""

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import State

from services.http.json_response import AsciiJSONResponse

probes = APIRouter()


@probes.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@probes.get("/ready", response_model=None)
async def ready(request: Request) -> AsciiJSONResponse:
    """A circuit that is to be tried counts as ready: somebody has to ask, for it to close."""
    state: State = request.state
    await state.router.refresh()
    circuits = {name: one.circuit.state for name, one in state.guarded.items()}
    out = {name for name, circuit in circuits.items() if circuit == "open"}
    configured = {"summary": state.settings.summary_model, "embedding": state.settings.embedding_model}
    roles: dict[str, Any] = {
        role: {"model": name, "ready": state.router.answers_for(name, out=out)} for role, name in configured.items()
    }
    upstreams = {
        one.upstream.name: {"answers": one.failure is None, "circuit": circuits[one.upstream.name]}
        for one in state.router.listings
    }
    is_ready = all(role["ready"] for role in roles.values())
    body = {"status": "ready" if is_ready else "not ready", "models": roles, "upstreams": upstreams}
    return AsciiJSONResponse(body, 200 if is_ready else 503)


@probes.get("/metrics", response_model=None)
async def metrics(request: Request) -> Response:
    return Response(request.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
