"""Who may use the proxy: anybody who reaches it, or whoever has the API key."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.domain.errors import InvalidInputError
from services.http.json_response import AsciiJSONResponse
from services.http.loopback import is_loopback
from services.llm_proxy.errors import wrong_key
from services.settings import ProxySettings

# What an orchestrator asks, which has no key.
_OPEN_TO_ALL = ("/health", "/ready")
_POLICY_VIOLATION = 1008


def check_binding(settings: ProxySettings) -> None:
    """Raise `InvalidInputError` where the proxy would be open to others than this machine's own programs."""
    if settings.llm_proxy_api_key is None and not is_loopback(settings.llm_proxy_host):
        raise InvalidInputError(
            "LLM_PROXY_API_KEY", f"a key, for LLM_PROXY_HOST={settings.llm_proxy_host} can be reached from outside"
        )


class ApiKey:
    """Refuses whoever does not send the key as `openai` clients do: `Authorization: Bearer`."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in _OPEN_TO_ALL or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        error = wrong_key()
        refusal = AsciiJSONResponse(error.body(), error.status, headers={"WWW-Authenticate": "Bearer"})
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await refusal(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("Authorization", "").partition(" ")
        # Compared in constant time: how long it takes must not tell how much of a guess was right.
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._key)
