import pytest

from services.domain.errors import InvalidInputError
from services.llm_proxy.app import create_app
from services.settings import ProxySettings, load


def test_it_binds_to_loopback_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_URL_INTERNAL", "OPENAI_COMPATIBLE_URL", "OPENAI_COMPATIBLE_API_KEY", "EMBEDDED_GGUF"):
        monkeypatch.setenv(name, "")
    settings = load(ProxySettings)
    assert (settings.llm_proxy_host, settings.llm_proxy_port) == ("127.0.0.1", 8000)
    assert (settings.completion_timeout, settings.embedding_timeout) == (60, 30)
    assert settings.ollama_url_internal is None


def test_a_key_is_not_shown() -> None:
    assert "sk-1" not in repr(ProxySettings(openai_compatible_api_key="sk-1"))


@pytest.mark.parametrize(
    ("name", "value"), [("LLM_PROXY_PORT", "0"), ("OLLAMA_URL_INTERNAL", "ollama"), ("EMBEDDED_GGUF", "/no/such.gguf")]
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError, match=name):
        load(ProxySettings)


def test_a_proxy_needs_an_upstream() -> None:
    with pytest.raises(InvalidInputError, match="OLLAMA_URL_INTERNAL"):
        create_app(ProxySettings(_env_file=None))
