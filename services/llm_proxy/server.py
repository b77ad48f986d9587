from services.http.serving import serve_app
from services.llm_proxy.app import create_app
from services.llm_proxy.credentials import check_binding
from services.settings import ProxySettings


def serve(settings: ProxySettings) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished first."""
    check_binding(settings)
    serve_app(
        create_app(settings),
        host=settings.llm_proxy_host,
        port=settings.llm_proxy_port,
        shutdown_seconds=settings.completion_timeout + 5,
    )
