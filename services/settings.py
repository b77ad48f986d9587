"""Settings from the environment or `.env`: one small class for each resource.

A bad value fails at start: `load` names the variable and what it takes.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from dotenv import load_dotenv
from pydantic import Field, FilePath, SecretStr, ValidationError, ValidationInfo, field_validator
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
    llm_proxy_api_key: SecretStr | None = None
    summary_model: str = Field("qwen3:32b", min_length=1)
    embedding_model: str = Field("bge-m3", min_length=1)
    summary_tokens: int = Field(1_000, ge=16, le=100_000)
    api_timeout: Seconds = 30.0

    @property
    def proxy_key(self) -> str | None:
        return self.llm_proxy_api_key.get_secret_value() if self.llm_proxy_api_key else None

    @field_validator("llm_proxy_api_key", mode="before")
    @classmethod
    def _empty_is_no_key(cls, value: object) -> object:
        return None if value == "" else value


class BufferSettings(ResourceSettings):
    """When a room's buffer is taken: quiet for `linger_seconds`, `max_wait_seconds` old, or `batch_size` long."""

    linger_seconds: Seconds = 5.0
    max_wait_seconds: Seconds = 60.0
    batch_size: int = Field(50, ge=1, le=10_000)


class ChunkSettings(ResourceSettings):
    """How much of a room is summarised at once."""

    chunk_tokens: int = Field(1_500, ge=50, le=200_000)
    chunk_messages: int = Field(60, ge=1, le=1_000)


class ImportSettings(ResourceSettings):
    """Where workers find the files of an import: they read no others."""

    import_folder: Path = Path(".afterturn/imports")


class WorkerSettings(ResourceSettings):
    """What one worker process does.

    `shutdown_seconds` must outlast a model call: a worker that stops sooner has the call paid for twice.
    """

    task_queues: Annotated[str, Field(pattern=r"^(memory|llm|mem0)(,(memory|llm|mem0))*$")] = "memory,llm,mem0"
    shutdown_seconds: Seconds = 90.0
    max_cached_workflows: int = Field(1_000, ge=0)
    max_concurrent_activities: int = Field(50, ge=1)
    max_concurrent_model_calls: int = Field(8, ge=1)


class Mem0Settings(ResourceSettings):
    """Where long-term memories are kept: by Mem0's open-source library in our Postgres, or on its hosted platform.

    Unset, it is the platform where `mem0_api_key` is set, else nowhere. `mem0_timeout` is how long a call to the
    platform may take, and `mem0_grace_seconds` how long after it something of it may still land there.
    """

    mem0_backend: Literal["open_source", "platform"] | None = None
    mem0_api_key: SecretStr | None = Field(None, validate_default=True)
    mem0_host: str = Field("https://api.mem0.ai", pattern=r"^https?://")
    mem0_timeout: Seconds = 15.0
    mem0_grace_seconds: Seconds = 900.0

    @field_validator("mem0_backend", "mem0_api_key", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("mem0_api_key")
    @classmethod
    def _the_platform_needs_a_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("mem0_backend") == "platform":
            raise ValueError("needed where MEM0_BACKEND is platform")
        return key


class TracingSettings(ResourceSettings):
    """Where worker and LLM proxy send OpenTelemetry spans: a collector's base URL; unset, nowhere."""

    otel_exporter_otlp_endpoint: str | None = Field(None, pattern=r"^https?://")

    @field_validator("otel_exporter_otlp_endpoint", mode="before")
    @classmethod
    def _empty_is_nowhere(cls, value: object) -> object:
        return None if value == "" else value


class TrafficSettings(ResourceSettings):
    """How the LLM proxy shares its upstreams, for each of which the upstream file may say otherwise.

    `llm_proxy_max_concurrent` is how many requests an upstream has at once; so many more may wait for it. The limits by
    the minute are each tenant's. `llm_proxy_merge_inputs` is how many inputs a merged embedding request has; 1 merges
    nothing. A circuit opens after so many outages in a row, for so many seconds at first.
    """

    llm_proxy_max_concurrent: int = Field(32, ge=1)
    llm_proxy_max_waiting: int = Field(1_000, ge=1)
    llm_proxy_requests_per_minute: int | None = Field(None, ge=1)
    llm_proxy_tokens_per_minute: int | None = Field(None, ge=1)
    llm_proxy_merge_inputs: int = Field(64, ge=1, le=2048)
    llm_proxy_embedding_cache_bytes: int = Field(64 * 1024 * 1024, ge=0)
    llm_proxy_circuit_failures: int = Field(5, ge=1)
    llm_proxy_circuit_seconds: Seconds = 5.0

    @field_validator("llm_proxy_requests_per_minute", "llm_proxy_tokens_per_minute", mode="before")
    @classmethod
    def _empty_is_off(cls, value: object) -> object:
        return None if value == "" else value


class ProxySettings(ModelSettings, TrafficSettings, TracingSettings):
    """The LLM proxy: where it listens, which upstreams it asks, and how long it waits for them.

    `openai_compatible_url` is the base URL that the `openai` client would take; without a path, `/v1` is added. The
    summary and the embedding model are those that `/ready` vouches for. A file in `llm_proxy_upstreams` replaces the
    upstreams named here.
    """

    llm_proxy_host: str = Field("127.0.0.1", min_length=1)
    llm_proxy_port: Port = 8000
    ollama_url_internal: str | None = Field(None, pattern=r"^https?://")
    openai_compatible_url: str | None = Field(None, pattern=r"^https?://")
    openai_compatible_api_key: SecretStr | None = None
    embedded_models: bool = False
    embedded_gguf: FilePath | None = None
    llm_proxy_upstreams: FilePath | None = None
    completion_timeout: Seconds = 60.0
    embedding_timeout: Seconds = 30.0
    llm_proxy_max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024)

    @field_validator(
        "ollama_url_internal",
        "openai_compatible_url",
        "openai_compatible_api_key",
        "embedded_gguf",
        "llm_proxy_upstreams",
        mode="before",
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
