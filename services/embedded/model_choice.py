"""Decides which models the stack asks: those that are named, else a local Ollama's, else the embedded ones."""

import asyncio
from dataclasses import dataclass

import httpx

EMBEDDED_SUMMARY_MODEL = "smollm2-135m-instruct"
EMBEDDED_EMBEDDING_MODEL = "multilingual-e5-small"
# It reads 300 tokens a second and writes 80: a chunk of this size is summarised in about three seconds.
EMBEDDED_CHUNK_TOKENS = 600
EMBEDDED_SUMMARY_TOKENS = 80
# Taken first where an Ollama has them; otherwise the one that it lists first, which is the one pulled last.
_FAVOURITES = ("qwen3:32b", "bge-m3:latest")
_ASK_SECONDS = 3.0


@dataclass(frozen=True)
class ModelChoice:
    summary_model: str
    embedding_model: str
    reason: str
    ollama_url: str | None = None

    def environment(self) -> dict[str, str]:
        """Return what the proxy and the worker are told."""
        told = {"SUMMARY_MODEL": self.summary_model, "EMBEDDING_MODEL": self.embedding_model}
        if self.summary_model == EMBEDDED_SUMMARY_MODEL or self.embedding_model == EMBEDDED_EMBEDDING_MODEL:
            told["EMBEDDED_MODELS"] = "true"
        if self.summary_model == EMBEDDED_SUMMARY_MODEL:
            told |= {"CHUNK_TOKENS": str(EMBEDDED_CHUNK_TOKENS), "SUMMARY_TOKENS": str(EMBEDDED_SUMMARY_TOKENS)}
        # Empty is unset: an Ollama that does not answer would make the proxy wait for it.
        return told | {"OLLAMA_URL_INTERNAL": self.ollama_url or ""}


@dataclass(frozen=True)
class _Ollama:
    url: str
    answers: bool
    chat: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()


async def choose_models(ollama_url: str, summary_model: str | None, embedding_model: str | None) -> ModelChoice:
    """Choose both models and say why; a name that is given is kept."""
    ollama = await _ask(ollama_url) if ollama_url else _Ollama("none", answers=False)
    complete = bool(ollama.chat and ollama.embedding)
    summary = summary_model or (_best(ollama.chat) if complete else EMBEDDED_SUMMARY_MODEL)
    embedding = embedding_model or (_best(ollama.embedding) if complete else EMBEDDED_EMBEDDING_MODEL)
    names = f"summaries by {summary}{_named(summary_model)}, vectors by {embedding}{_named(embedding_model)}"
    reason = f"{names}: {_explain(ollama)}"
    return ModelChoice(summary, embedding, reason, ollama.url if ollama.answers else None)


def _named(setting: str | None) -> str:
    return " (as set)" if setting else ""


def _explain(ollama: _Ollama) -> str:
    if not ollama.answers:
        return f"no Ollama answers at {ollama.url}" if ollama.url != "none" else "Ollama is switched off"
    if not ollama.chat:
        return f"the Ollama at {ollama.url} has no chat model"
    if not ollama.embedding:
        return f"the Ollama at {ollama.url} has no embedding model"
    return f"an Ollama answers at {ollama.url}"


def _best(models: tuple[str, ...]) -> str:
    return next((model for model in _FAVOURITES if model in models), models[0]).removesuffix(":latest")


async def _ask(url: str) -> _Ollama:
    try:
        async with httpx.AsyncClient(base_url=url, timeout=_ASK_SECONDS, trust_env=False) as client:
            answer = (await client.get("/api/tags")).raise_for_status().json()
            names = [str(model["name"]) for model in answer["models"]]
            abilities = dict(
                zip(names, await asyncio.gather(*(_abilities(client, name) for name in names)), strict=True)
            )
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return _Ollama(url, answers=False)
    return _Ollama(
        url,
        answers=True,
        chat=tuple(name for name in names if "completion" in abilities[name]),
        embedding=tuple(name for name in names if "embedding" in abilities[name]),
    )


async def _abilities(client: httpx.AsyncClient, model: str) -> list[str]:
    answer = (await client.post("/api/show", json={"model": model})).raise_for_status().json()
    return list(answer.get("capabilities", ()))
