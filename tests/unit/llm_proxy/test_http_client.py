import pytest

from services.llm_proxy.http_client import http_client, openai_base


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://ollama:11434", "http://ollama:11434/v1"),
        ("http://ollama:11434/", "http://ollama:11434/v1"),
        ("https://models.example/openai/v1", "https://models.example/openai/v1"),
    ],
)
def test_v1_is_added_where_no_path_is_given(url: str, base: str) -> None:
    assert openai_base(url) == base


@pytest.mark.parametrize(
    ("url", "trusts"),
    [
        ("http://127.0.0.1:8000", False),
        ("http://llm_proxy:8000", False),
        ("https://localhost:8000", False),
        ("https://[::1]:8000", False),
        ("https://models.example", True),
    ],
)
async def test_only_a_distant_https_server_is_asked_through_a_proxy(url: str, *, trusts: bool) -> None:
    async with http_client(url) as client:
        assert client.trust_env is trusts


async def test_without_a_key_no_credential_is_sent() -> None:
    async with http_client("http://a") as open_client, http_client("http://a", api_key="k") as keyed:
        assert "Authorization" not in open_client.headers
        assert keyed.headers["Authorization"] == "Bearer k"
