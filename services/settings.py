"""Settings from the environment or `.env`: one small class for each resource.

A bad value fails at start: `load` names the variable and what it takes.
"""

from pathlib import Path
from typing import Annotated, TypeVar

from dotenv import load_dotenv
from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.domain.errors import InvalidInputError

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class ResourceSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)


class RedisSettings(ResourceSettings):
    """`redis_cluster` says that the URL names one node of a Redis Cluster."""

    redis_url: str = Field("redis://localhost:6379/0", pattern=r"^(rediss?|unix)://")
    redis_cluster: bool = False


class DatabaseSettings(ResourceSettings):
    """`database_url` is any Postgres URL; the driver part is filled in."""

    database_url: str = Field(
        "postgresql://postgres@localhost:5432/afterturn", pattern=r"^postgres(ql)?(\+asyncpg)?://"
    )
    database_pool_size: int = Field(10, ge=1, le=500)


class ModelSettings(ResourceSettings):
    """Which models are asked, and where the proxy that reaches them is.

    `api_timeout` is how long embeddings may take, in seconds; completions may take twice as long. `summary_tokens` is
    what an answer may take, thinking included.
    """

    llm_proxy_url: str = Field("http://localhost:8000", pattern=r"^https?://")
    summary_model: str = Field("qwen3:32b", min_length=1)
    embedding_model: str = Field("bge-m3", min_length=1)
    summary_tokens: int = Field(1_000, ge=16, le=100_000)
    api_timeout: Seconds = 30.0


class BufferSettings(ResourceSettings):
    """When a room's buffer is taken: quiet for `linger_seconds`, `max_wait_seconds` old, or `batch_size` long."""

    linger_seconds: Seconds = 5.0
    max_wait_seconds: Seconds = 60.0
    batch_size: int = Field(50, ge=1, le=10_000)


class ChunkSettings(ResourceSettings):
    """How much of a room is summarised at once."""

    chunk_tokens: int = Field(1_500, ge=50, le=200_000)
    chunk_messages: int = Field(60, ge=1, le=1_000)


class WorkerSettings(ResourceSettings):
    """What one worker process does.

    `shutdown_seconds` must outlast a model call: a worker that stops sooner has the call paid for twice.
    """

    task_queues: Annotated[str, Field(pattern=r"^(memory|llm)(,(memory|llm))*$")] = "memory,llm"
    shutdown_seconds: Seconds = 90.0
    max_cached_workflows: int = Field(1_000, ge=0)
    max_concurrent_activities: int = Field(50, ge=1)
    max_concurrent_model_calls: int = Field(8, ge=1)


class ProxySettings(ModelSettings):
    """The LLM proxy: where it listens, which upstreams it asks, and how long it waits for them.

    `openai_compatible_url` is the base URL that the `openai` client would take; without a path, `/v1` is added. The
    summary and the embedding model are those that `/ready` vouches for.
    """

    llm_proxy_host: str = Field("127.0.0.1", min_length=1)
    llm_proxy_port: Port = 8000
    ollama_url_internal: str | None = Field(None, pattern=r"^https?://")
    openai_compatible_url: str | None = Field(None, pattern=r"^https?://")
    openai_compatible_api_key: SecretStr | None = None
    embedded_models: bool = False
    embedded_gguf: FilePath | None = None
    completion_timeout: Seconds = 60.0
    embedding_timeout: Seconds = 30.0
    llm_proxy_max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024)

    @field_validator(
        "ollama_url_internal", "openai_compatible_url", "openai_compatible_api_key", "embedded_gguf", mode="before"
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value


class EmbeddedSettings(ResourceSettings):
    """The one-machine stack: where its data is, and its ports.

    Models left unset are chosen by what this machine has.
    """

    afterturn_folder: Path = Path(".afterturn")
    redis_port: Port = 6389
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    llm_proxy_port: Port = 8000
    ollama_url_internal: str = Field("http://127.0.0.1:11434", pattern=r"^(https?://|$)")
    summary_model: str | None = None
    embedding_model: str | None = None
    chunk_tokens: int | None = Field(None, ge=50, le=200_000)


def read_dot_env() -> None:
    """Let `.env` count for clients that read the environment themselves; what is set already stands."""
    load_dotenv(Path(".env"))


def load(settings: type[SettingsT]) -> SettingsT:
    """Read one settings class; raise `InvalidInputError` naming the first wrong variable and what it takes."""
    try:
        return settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidInputError(".".join(str(part) for part in first["loc"]).upper(), first["msg"]) from None
