import uvicorn

from services.llm_proxy.app import create_app
from services.llm_proxy.credentials import check_binding
from services.settings import ProxySettings

# Longer than clients keep an idle connection, `openai` ones for 5 s: whoever closes first must not be the one that is
# asked next.
_IDLE_SECONDS = 75


def serve(settings: ProxySettings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished first."""
    check_binding(settings)
    uvicorn.run(
        create_app(settings),
        host=settings.llm_proxy_host,
        port=settings.llm_proxy_port,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(settings.completion_timeout) + 5,
    )
