import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from services.cli.checks.check import Check, judged
from services.domain.errors import AfterturnError
from services.llm_proxy.client import ModelClient
from services.llm_proxy.http_client import http_client
from services.settings import ModelSettings

# It looks at every upstream first.
_SECONDS = 15.0
_ASKED, _TOKENS = "Say yes.", 16


async def check_proxy(models: ModelSettings, model: ModelClient, read: str) -> list[Check]:
    """Look at the proxy, or at any server that speaks OpenAI's format in its place, and have both models answer.

    `read` is the embedding model whose vectors the database reads, whatever the setting says.
    """
    async with http_client(models.llm_proxy_url, api_key=models.proxy_key) as http:
        try:
            ready = await http.get("ready", timeout=_SECONDS)
            known = await _known(http)
        except httpx.RequestError as error:
            detail = f"LLM_PROXY_URL: {models.llm_proxy_url} does not answer ({type(error).__name__})"
            return [Check("LLM proxy: reachable", "failed", detail, "run `afterturn proxy`, or set LLM_PROXY_URL")]
    listed = [
        _model("SUMMARY_MODEL", models.summary_model, known),
        _embedding_model(models.embedding_model, read, known),
    ]
    return [
        Check("LLM proxy: reachable", "ok", models.llm_proxy_url),
        _ready(ready),
        *listed,
        *(await _answers(models, model, read) if all(check.state != "failed" for check in listed) else ()),
    ]


async def _answers(models: ModelSettings, model: ModelClient, read: str) -> list[Check]:
    asked = [{"role": "user", "content": _ASKED}]
    return [
        await _answer(
            models.summary_model,
            lambda: model.complete(model=models.summary_model, messages=asked, max_tokens=_TOKENS),
        ),
        await _answer(read, lambda: model.embed(model=read, texts=[_ASKED], input_type="query")),
    ]


async def _answer(model: str, ask: Callable[[], Awaitable[object]]) -> Check:
    name, started = f"LLM proxy: {model} answers", time.monotonic()
    try:
        await ask()
    except AfterturnError as error:
        return Check(name, "failed", str(error), "see the log of the server that has the model")
    return Check(name, "ok", f"in {time.monotonic() - started:.1f} s")


async def _known(http: httpx.AsyncClient) -> set[str] | None:
    """Give the models that are listed; None where the answer is no list."""
    answer = await http.get("v1/models", timeout=_SECONDS)
    try:
        return {str(card["id"]) for card in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return None


def _ready(answer: httpx.Response) -> Check:
    if answer.status_code == httpx.codes.NOT_FOUND:
        return Check("LLM proxy: ready", "not checkable", "this server has no /ready, so it is not afterturn's proxy")
    return judged(
        "LLM proxy: ready",
        good=answer.is_success,
        detail="ready" if answer.is_success else _not_ready(answer),
        cure="see that its upstreams answer and have these models",
    )


def _not_ready(answer: httpx.Response) -> str:
    try:
        body: dict[str, Any] = answer.json()
        away = [name for name, state in body["upstreams"].items() if not state["answers"]]
        lacking = [role["model"] for role in body["models"].values() if not role["ready"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"status {answer.status_code}"
    return (
        f"models that nobody answers for: {', '.join(lacking) or 'none'}; upstreams away: {', '.join(away) or 'none'}"
    )


def _embedding_model(setting: str, read: str, known: set[str] | None) -> Check:
    check = _model("EMBEDDING_MODEL", read, known)
    if setting == read or check.state == "failed":
        return check
    told = f"the database reads {read}, and that counts; EMBEDDING_MODEL says {setting}"
    return Check(check.name, "failed", told, f"set EMBEDDING_MODEL={read}: the proxy's /ready looks at it")


def _model(variable: str, model: str, known: set[str] | None) -> Check:
    name = f"LLM proxy: {variable}"
    if known is None:
        return Check(name, "not checkable", f"{model}: the models are not listed")
    # Ollama lists a model without a tag under its newest one.
    return judged(
        name,
        good=bool({model, f"{model}:latest"} & known),
        detail=model,
        cure=f"pull {model}, or set {variable} to one of those listed: {', '.join(sorted(known)[:8]) or 'none'}",
    )
