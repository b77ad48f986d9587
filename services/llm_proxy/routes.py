from collections.abc import AsyncGenerator
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response

from services.http.json_response import AsciiJSONResponse
from services.llm_proxy.answering import EventStream, unless_gone
from services.llm_proxy.caller import Caller
from services.llm_proxy.fast_json import NumbersResponse
from services.llm_proxy.gateway import Gateway
from services.llm_proxy.routing import Router
from services.llm_proxy.websocket import converse
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, ModelCard, ModelList

routes = APIRouter()
routes.add_api_websocket_route("/v1/chat/completions", converse)


# Coroutines, for FastAPI takes plain functions to a thread, however little they do.
async def _router(request: Request) -> Router:
    return cast("Router", request.state.router)


async def _gateway(request: Request) -> Gateway:
    return cast("Gateway", request.state.gateway)


async def _caller(request: Request) -> Caller:
    return Caller.of(request.headers, request.state.request_id)


RouterParam = Annotated[Router, Depends(_router)]
GatewayParam = Annotated[Gateway, Depends(_gateway)]
CallerParam = Annotated[Caller, Depends(_caller)]


@routes.post("/v1/chat/completions", response_model=None)
async def complete(body: ChatRequest, request: Request, gateway: GatewayParam, caller: CallerParam) -> Response:
    if not body.stream:
        return AsciiJSONResponse(await unless_gone(request, gateway.complete(body, caller)))
    events = gateway.stream(body, caller)
    # Failures before the first event still get a status of their own.
    first = await unless_gone(request, _first(events))
    return EventStream(first, events)


async def _first(events: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(events)


@routes.post("/v1/embeddings", response_model=None)
async def embed(body: EmbeddingRequest, request: Request, gateway: GatewayParam, caller: CallerParam) -> Response:
    return NumbersResponse(await unless_gone(request, gateway.embed(body, caller)))


@routes.get("/v1/models")
async def models(router: RouterParam) -> ModelList:
    return ModelList(data=await router.cards())


@routes.get("/v1/models/{model_id:path}")
async def model(model_id: str, router: RouterParam) -> ModelCard:
    return await router.card(model_id)
