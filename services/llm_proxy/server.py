import uvicorn

from services.llm_proxy.app import create_app
from services.settings import ProxySettings


def serve(settings: ProxySettings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished first."""
    uvicorn.run(
        create_app(settings),
        host=settings.llm_proxy_host,
        port=settings.llm_proxy_port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=int(settings.completion_timeout) + 5,
    )
