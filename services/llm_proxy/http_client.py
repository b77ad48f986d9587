import httpx

from services.http.loopback import is_loopback

CONNECT_SECONDS = 5.0
CONNECTIONS = 256
# Servers of our kind drop an idle connection after 5 s; a request sent at that moment would fail for nothing.
_IDLE_SECONDS = 3.0


def http_client(url: str, *, api_key: str | None = None, connections: int = CONNECTIONS) -> httpx.AsyncClient:
    """A client for one server; open it with `async with`.

    Time limits besides connecting are the caller's. Proxies from the environment are used for a distant HTTPS server
    only: a server on this machine or inside the network must not be asked through them.
    """
    base = httpx.URL(url)
    return httpx.AsyncClient(
        base_url=base,
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        limits=httpx.Limits(
            max_connections=connections, max_keepalive_connections=CONNECTIONS // 8, keepalive_expiry=_IDLE_SECONDS
        ),
        trust_env=base.scheme == "https" and not is_loopback(base.host),
        # Reads SSL_CERT_FILE and SSL_CERT_DIR whatever `trust_env` says. Loading the certificates takes a while, and
        # plain HTTP, which follows no redirect, never looks at them.
        verify=httpx.create_ssl_context() if base.scheme == "https" else False,
    )


def openai_base(url: str) -> str:
    """Where a server's OpenAI routes are: its URL, with `/v1` unless it has a path of its own."""
    return url if httpx.URL(url).path.strip("/") else f"{url.rstrip('/')}/v1"
