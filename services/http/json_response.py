import json

from fastapi.responses import JSONResponse


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII: escapes carry whatever a model or an upstream said, lone surrogates too, which have no UTF-8."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
