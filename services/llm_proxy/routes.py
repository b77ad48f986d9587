from collections.abc import AsyncGenerator
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response

from services.llm_proxy.answering import EventStream, unless_gone
from services.llm_proxy.json_response import AsciiJSONResponse
from services.llm_proxy.routing import Router
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, ModelCard, ModelList
from services.settings import ProxySettings

routes = APIRouter()


def _router(request: Request) -> Router:
    return cast("Router", request.state.router)


def _settings(request: Request) -> ProxySettings:
    return cast("ProxySettings", request.state.settings)


RouterParam = Annotated[Router, Depends(_router)]


@routes.post("/v1/chat/completions", response_model=None)
async def complete(body: ChatRequest, request: Request, router: RouterParam) -> Response:
    upstream = await router.upstream_for(body.model)
    if not body.stream:
        return AsciiJSONResponse(await unless_gone(request, upstream.complete(body)))
    events = upstream.stream(body)
    # Failures before the first event still get a status of their own.
    first = await unless_gone(request, _first(events))
    return EventStream(first, events)


async def _first(events: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(events)


@routes.post("/v1/embeddings", response_model=None)
async def embed(body: EmbeddingRequest, request: Request, router: RouterParam) -> Response:
    upstream = await router.upstream_for(body.model)
    return AsciiJSONResponse(await unless_gone(request, upstream.embed(body)))


@routes.get("/v1/models")
async def models(router: RouterParam) -> ModelList:
    return ModelList(data=await router.cards())


@routes.get("/v1/models/{model_id:path}")
async def model(model_id: str, router: RouterParam) -> ModelCard:
    return await router.card(model_id)


@routes.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@routes.get("/ready", response_model=None)
async def ready(router: RouterParam, settings: Annotated[ProxySettings, Depends(_settings)]) -> AsciiJSONResponse:
    await router.refresh()
    configured = {"summary": settings.summary_model, "embedding": settings.embedding_model}
    roles: dict[str, Any] = {
        role: {"model": name, "ready": router.answers_for(name)} for role, name in configured.items()
    }
    upstreams = {one.upstream.name: {"answers": one.failure is None} for one in router.listings}
    is_ready = all(role["ready"] for role in roles.values())
    body = {"status": "ready" if is_ready else "not ready", "models": roles, "upstreams": upstreams}
    return AsciiJSONResponse(body, 200 if is_ready else 503)
