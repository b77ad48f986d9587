"""The file that `LLM_PROXY_UPSTREAMS` names: upstreams, models, fallbacks and tenants, in TOML or JSON."""

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from services.domain.errors import InvalidInputError

Name = Annotated[str, Field(min_length=1, max_length=200)]
EMBEDDED = "embedded"


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ModelEntry(Entry):
    """A model as the upstream calls it, what else it is called here, and what a million of its tokens cost."""

    name: Name
    aliases: tuple[Name, ...] = ()
    prompt_price: NonNegativeFloat | None = None
    completion_price: NonNegativeFloat | None = None


class UpstreamEntry(Entry):
    """One upstream. Where it names models, it offers these and no others; an embedded one offers its own besides."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
    kind: Literal["ollama", "openai", "embedded"]
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    api_key_env: Name | None = None
    api_key_file: FilePath | None = None
    gguf: FilePath | None = None
    models: tuple[ModelEntry, ...] = ()
    max_concurrent: PositiveInt | None = None
    completion_timeout: PositiveFloat | None = None
    embedding_timeout: PositiveFloat | None = None
    prompt_price: NonNegativeFloat = 0.0
    completion_price: NonNegativeFloat = 0.0
    stream_usage: bool = True

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.url is None) != (self.kind == EMBEDDED):
            raise ValueError("url is what an ollama or openai upstream needs, and an embedded one has not")
        if self.gguf is not None and self.kind != EMBEDDED:
            raise ValueError("gguf is for an embedded upstream")
        if self.api_key_env and self.api_key_file:
            raise ValueError("one of api_key_env and api_key_file")
        return self

    def api_key(self) -> str | None:
        """Read the key from where the file says it is."""
        if self.api_key_file:
            return self.api_key_file.read_text().strip() or None
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            raise InvalidInputError(self.api_key_env, f"the API key of upstream {self.name}")
        return key


class FallbackEntry(Entry):
    """A model to ask instead; with `upstream`, there and nowhere else."""

    model: Name
    upstream: str | None = None


class TenantEntry(Entry):
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None


def _named(given: object) -> object:
    return {"model": given} if isinstance(given, str) else given


class UpstreamFile(Entry):
    """A fallback may be written as the model's name alone."""

    upstreams: Annotated[tuple[UpstreamEntry, ...], Field(min_length=1)]
    fallbacks: dict[Name, tuple[Annotated[FallbackEntry, BeforeValidator(_named)], ...]] = {}
    tenants: dict[Name, TenantEntry] = {}

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        names = [one.name for one in self.upstreams]
        if len(names) != len(set(names)):
            raise ValueError("each upstream has a name of its own")
        if sum(one.kind == EMBEDDED for one in self.upstreams) > 1:
            raise ValueError("one embedded upstream at most")
        for target in (target for chain in self.fallbacks.values() for target in chain):
            if target.upstream not in (None, *names):
                raise ValueError(f"the fallback {target.model} names an upstream that is among upstreams")
        return self


def read_upstream_file(path: Path) -> UpstreamFile:
    """Read the file; raise `InvalidInputError` naming the first wrong field and what it takes."""
    try:
        text = path.read_text("utf-8")
        given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError):
        raise InvalidInputError("LLM_PROXY_UPSTREAMS", "a file in TOML, or in JSON if it ends in .json") from None
    try:
        return UpstreamFile.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"LLM_PROXY_UPSTREAMS: {where or 'file'}", first["msg"]) from None
