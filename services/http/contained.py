import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from services.http.routes import route_of

logger = logging.getLogger(__name__)


class Contained:
    """Lets no failure of the application out: the server would log it with its text, which may quote a chat.

    A request has had its 500 by then, and a socket is closed by the server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  whatever it is, its type is all that may be told
            logger.error("%s ended with %s", route_of(scope) or "no route", type(error).__name__)  # noqa: TRY400
