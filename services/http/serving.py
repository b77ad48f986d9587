import uvicorn
from starlette.types import ASGIApp

# Longer than clients keep an idle connection, `openai` ones for 5 s: whoever closes first must not be the one that is
# asked next.
_IDLE_SECONDS = 75


def serve_app(app: ASGIApp, *, host: str, port: int, shutdown_seconds: float) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished first."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        # What it says goes where everything goes.
        log_config=None,
        log_level="warning",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(shutdown_seconds),
    )
