import pytest

from services.domain.errors import InvalidInputError
from services.llm_proxy.credentials import check_binding
from services.settings import ProxySettings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    check_binding(ProxySettings(_env_file=None, llm_proxy_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "llm_proxy", "127.0.0.1.example"])  # noqa: S104
def test_whoever_is_reached_from_outside_does(host: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        check_binding(ProxySettings(_env_file=None, llm_proxy_host=host, llm_proxy_api_key=""))
    assert raised.value.field == "LLM_PROXY_API_KEY"
    check_binding(ProxySettings(_env_file=None, llm_proxy_host=host, llm_proxy_api_key="k"))
