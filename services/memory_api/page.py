"""The web page: static files for people who would rather look. What it shows it asks of the API, as anybody does."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

_FOLDER = Path(__file__).with_name("web")
# Nothing inline and nothing from elsewhere. Plots are fetched with the credential, then shown from memory (`blob:`).
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_router = APIRouter(include_in_schema=False)


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401  as Starlette passes them
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


@_router.get("/")
def page() -> FileResponse:
    return FileResponse(_FOLDER / "index.html", headers=_HEADERS)


def install(app: FastAPI) -> None:
    app.include_router(_router)
    app.mount("/web", _Files(directory=_FOLDER), name="web")
