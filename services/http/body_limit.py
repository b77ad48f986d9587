from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses a request body over `limit` bytes with 413: at once where its length is given, else on the way."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        left = self._limit
        is_declared_too_long = _declared(scope) > self._limit

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            # Raised here, inside the application, it is answered like every other error.
            if left < 0 or is_declared_too_long:
                raise HTTPException(413, f"The body is over {self._limit} bytes.")
            return message

        await self._app(scope, limited, send)


def _declared(scope: Scope) -> int:
    length = Headers(scope=scope).get("Content-Length", "")
    return int(length) if length.isdecimal() else 0
