"""Settings from the environment or `.env`: one small class for each resource.

A bad value fails at start: `load` names the variable and what it takes.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from afterturn_client.environment import FILE_SUFFIX
from afterturn_client.errors import InvalidFieldError
from afterturn_client.payload_keys import TAKES, read_payload_keys
from dotenv import dotenv_values
from pydantic import Field, FilePath, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from services.domain.errors import InvalidInputError
from services.setting_files import FilesSource

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=0, le=36_500)]
TokenPrice = dict[Literal["prompt", "completion"], Annotated[float, Field(ge=0)]]
SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def _none_if_empty(value: object) -> object:
    """Let a variable that is set to nothing count as one that is not set."""
    return None if value == "" else value


class ResourceSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del file_secret_settings
        files = FilesSource(settings_cls, env_settings, dotenv_settings)
        return init_settings, files, env_settings, dotenv_settings


class RedisSettings(ResourceSettings):
    """`redis_cluster` says that the URL names one node of a Redis Cluster.

    Whoever records a turn through the memory API or the command waits `record_seconds` for it at the most.
    """

    redis_url: str = Field("redis://localhost:6379/0", pattern=r"^(rediss?|unix)://")
    redis_cluster: bool = False
    record_seconds: Seconds = 2.0


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

    _empty_is_no_key = field_validator("llm_proxy_api_key", mode="before")(_none_if_empty)


class PayloadSettings(ResourceSettings):
    """Encrypts what Temporal keeps: the first key does, each of them decrypts.

    Written as `name:key`, with commas between several; a key is 32 bytes in base64. Without any, nothing is encrypted,
    and neither where `none` stands before them.
    """

    afterturn_payload_keys: SecretStr | None = None

    @property
    def written(self) -> str | None:
        return self.afterturn_payload_keys.get_secret_value() if self.afterturn_payload_keys else None

    @field_validator("afterturn_payload_keys", mode="before")
    @classmethod
    def _are_keys(cls, value: object) -> object:
        if not value:
            return None
        try:
            read_payload_keys(str(value))
        except InvalidFieldError:
            raise ValueError(TAKES) from None
        return value


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


class RetentionSettings(ResourceSettings):
    """For how many days what is done with is kept; 0 keeps it for ever.

    Messages go with the summaries and memories that were made of them. `retention_imported_files_days` is for copies
    that a command made and no import removed.
    """

    retention_quarantine_days: Days = 30
    retention_model_answers_days: Days = 90
    retention_command_history_days: Days = 0
    retention_messages_days: Days = 0
    retention_idempotency_keys_days: Days = 1
    retention_memory_merges_days: Days = 365
    retention_analyses_days: Days = 730
    retention_imported_files_days: Days = 7
    retention_outbox_days: Days = 7

    @property
    def days(self) -> dict[str, int]:
        """Give the days by what they are for."""
        return {name.removeprefix("retention_").removesuffix("_days"): days for name, days in self.model_dump().items()}


class AnalyticsSettings(ResourceSettings):
    """What a million tokens cost by model, as JSON: `{"model": {"prompt": 0.5, "completion": 1.5}}`; else nothing."""

    token_prices: Annotated[dict[str, TokenPrice], NoDecode] = Field(default_factory=dict)

    @field_validator("token_prices", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "{}")
        except ValueError:
            raise ValueError('JSON such as {"model": {"prompt": 0.5, "completion": 1.5}}') from None


class ReembedSettings(ResourceSettings):
    """When another embedding model is good enough to be switched to.

    Search must find `reembed_recall` of what an exact scan finds, over `reembed_samples` messages and as many memories.
    """

    reembed_recall: float = Field(0.95, ge=0, le=1)
    reembed_samples: int = Field(50, ge=1, le=1_000)


class SectionSettings(ResourceSettings):
    """The section store.

    A value has `section_value_bytes` of JSON at most, and is compressed above `section_compress_bytes`. A session that
    nobody uses ends after `section_session_seconds`. Redis is waited for `section_redis_seconds`: then the store does
    without it, or says so. Without word from Postgres the cache is trusted for
    `section_trust_seconds`, the same in every process: so long a write waits at the most that cannot reach Redis.
    """

    section_value_bytes: int = Field(262_144, ge=1_024, le=8_388_608)
    section_compress_bytes: int = Field(1_024, ge=64)
    section_cache_seconds: Seconds = 21_600.0
    section_redis_seconds: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    section_trust_seconds: Annotated[float, Field(ge=0.05, le=60)] = 2.0
    section_session_seconds: Seconds = 604_800.0
    section_history_length: int = Field(1_000, ge=100)


class WorkerSettings(ResourceSettings):
    """What one worker process does.

    `shutdown_seconds` must outlast a model call: a worker that stops sooner has the call paid for twice.
    `max_concurrent_model_calls` is how many chunks are with the models at once, each with two requests at the most.
    """

    task_queues: Annotated[str, Field(pattern=r"^(memory|llm|mem0)(,(memory|llm|mem0))*$")] = "memory,llm,mem0"
    shutdown_seconds: Seconds = 90.0
    max_cached_workflows: int = Field(1_000, ge=0)
    max_concurrent_activities: int = Field(50, ge=1)
    max_concurrent_model_calls: int = Field(8, ge=1)


class WorkerMetricsSettings(ResourceSettings):
    """Where a worker tells Prometheus its figures: an address and a port of its own, as in `0.0.0.0:9464`.

    Unset, it tells none.
    """

    worker_metrics: str | None = Field(None, pattern=r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]):\d{1,5}$")

    _empty_is_none = field_validator("worker_metrics", mode="before")(_none_if_empty)


class LogSettings(ResourceSettings):
    """How programs log to standard error: in lines for people, or in lines of JSON that name their run or request."""

    log_format: Literal["text", "json"] = "text"


class DeploymentSettings(ResourceSettings):
    """Which version of the workers this is: the two names that Temporal's own Kubernetes controller sets.

    Without them a worker is unversioned. With them it is given work from when its version is made the current one.
    """

    temporal_deployment_name: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,99})?$")
    temporal_worker_build_id: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$", validate_default=True)

    @field_validator("temporal_worker_build_id")
    @classmethod
    def _both_or_neither(cls, build_id: str, info: ValidationInfo) -> str:
        if bool(build_id) != bool(info.data.get("temporal_deployment_name")):
            raise ValueError("both TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID, or neither")
        return build_id


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

    _empty_is_unset = field_validator("mem0_backend", "mem0_api_key", mode="before")(_none_if_empty)

    @field_validator("mem0_api_key")
    @classmethod
    def _the_platform_needs_a_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("mem0_backend") == "platform":
            raise ValueError("needed where MEM0_BACKEND is platform")
        return key


class WebhookSettings(ResourceSettings):
    """Webhooks, in and out.

    `webhook_timeout` is how long an endpoint may take for one event; one that fails for `webhook_give_up_days` on end
    is told no more. `webhook_allow_private` lets endpoints be inside the network, and without TLS. Mem0's own webhooks
    are taken at a path that ends in `mem0_webhook_secret`; without it they are not.
    """

    webhook_timeout: Annotated[float, Field(gt=0, le=60)] = 10.0
    webhook_give_up_days: int = Field(7, ge=1, le=365)
    webhook_allow_private: bool = False
    mem0_webhook_secret: SecretStr | None = Field(None, min_length=16)

    @property
    def mem0_token(self) -> str | None:
        return self.mem0_webhook_secret.get_secret_value() if self.mem0_webhook_secret else None

    _empty_is_unset = field_validator("mem0_webhook_secret", mode="before")(_none_if_empty)


class TracingSettings(ResourceSettings):
    """Where worker and LLM proxy send OpenTelemetry spans: a collector's base URL; unset, nowhere."""

    otel_exporter_otlp_endpoint: str | None = Field(None, pattern=r"^https?://")

    _empty_is_nowhere = field_validator("otel_exporter_otlp_endpoint", mode="before")(_none_if_empty)


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

    _empty_is_off = field_validator("llm_proxy_requests_per_minute", "llm_proxy_tokens_per_minute", mode="before")(
        _none_if_empty
    )


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

    _empty_is_unset = field_validator(
        "ollama_url_internal",
        "openai_compatible_url",
        "openai_compatible_api_key",
        "embedded_gguf",
        "llm_proxy_upstreams",
        mode="before",
    )(_none_if_empty)


class MemoryApiSettings(ResourceSettings):
    """The memory API: where it listens, how much it takes, and whose tokens it believes.

    Tokens (JWT) are believed that a key of `memory_api_jwks_url` or of the file signed, for this issuer and audience.
    The claims name who asks and what they may do. The web page links to Temporal's own at `temporal_ui_url`.
    Pages of `memory_api_mcp_origins` may use `/mcp`, besides this machine's own.
    """

    memory_api_host: str = Field("127.0.0.1", min_length=1)
    memory_api_port: Port = 8080
    memory_api_max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024)
    memory_api_max_waiting: int = Field(500, ge=0)
    memory_api_jwks_url: str | None = Field(None, pattern=r"^https?://")
    memory_api_jwks_file: FilePath | None = None
    memory_api_jwt_issuer: str | None = None
    memory_api_jwt_audience: str | None = Field(None, validate_default=True)
    memory_api_jwt_user_claim: str = Field("sub", min_length=1)
    memory_api_jwt_company_claim: str = Field("company_id", min_length=1)
    memory_api_jwt_scope_claim: str = Field("scope", min_length=1)
    memory_api_mcp_origins: str = Field("", pattern=r"^(https?://[^,/\s]+(,https?://[^,/\s]+)*)?$")
    temporal_ui_url: str | None = Field(None, pattern=r"^https?://")

    _empty_is_unset = field_validator(
        "memory_api_jwks_url",
        "memory_api_jwks_file",
        "memory_api_jwt_issuer",
        "memory_api_jwt_audience",
        "temporal_ui_url",
        mode="before",
    )(_none_if_empty)

    @field_validator("memory_api_jwt_audience")
    @classmethod
    def _tokens_are_for_us(cls, audience: str | None, info: ValidationInfo) -> str | None:
        keys = info.data.get("memory_api_jwks_url") or info.data.get("memory_api_jwks_file")
        if keys and not (audience and info.data.get("memory_api_jwt_issuer")):
            raise ValueError("needed with MEMORY_API_JWT_ISSUER where tokens are believed")
        return audience

    @property
    def mcp_origins(self) -> list[str]:
        return self.memory_api_mcp_origins.split(",") if self.memory_api_mcp_origins else []

    @property
    def believes_tokens(self) -> bool:
        return self.memory_api_jwks_url is not None or self.memory_api_jwks_file is not None


class AgentSettings(ResourceSettings):
    """Whose tools `afterturn mcp` serves: those of this API key."""

    afterturn_api_key: SecretStr | None = None

    _empty_is_unset = field_validator("afterturn_api_key", mode="before")(_none_if_empty)


class AgentToolSettings(ResourceSettings):
    """Which agent tools there are, besides the six of memories.

    `agent_tools_sections` adds those of the section store, where agents keep facts and preferences of the user apart
    from the application's own. `agent_tools_application_values` lets them read the application's, too, those of the
    namespace `default`.
    """

    agent_tools_sections: bool = False
    agent_tools_application_values: bool = False


class EmbeddedSettings(ResourceSettings):
    """The one-machine stack: where its data is, and its ports.

    Models left unset are chosen by what this machine has.
    """

    afterturn_folder: Path = Path(".afterturn")
    redis_port: Port = 6389
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    llm_proxy_port: Port = 8000
    memory_api_port: Port = 8080
    ollama_url_internal: str = Field("http://127.0.0.1:11434", pattern=r"^(https?://|$)")
    summary_model: str | None = None
    embedding_model: str | None = None
    chunk_tokens: int | None = Field(None, ge=50, le=200_000)


def read_dot_env() -> None:
    """Let `.env` count for clients that read the environment themselves; what is set already stands."""
    set_already = set(os.environ)
    for name, value in dotenv_values(Path(".env")).items():
        if value is not None and not {name, _other_of(name)} & set_already:
            os.environ[name] = value


def load(settings: type[SettingsT]) -> SettingsT:
    """Read one settings class; raise `InvalidInputError` naming the first wrong variable and what it takes."""
    try:
        return settings()
    except InvalidFieldError as error:
        raise InvalidInputError(error.field, error.takes) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidInputError(".".join(str(part) for part in first["loc"]).upper(), first["msg"]) from None


def _other_of(name: str) -> str:
    return name.removesuffix(FILE_SUFFIX) if name.endswith(FILE_SUFFIX) else name + FILE_SUFFIX
