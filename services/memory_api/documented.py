"""What the OpenAPI document says besides what FastAPI reads off the routes."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.memory_api.problems import KINDS, MEDIA_TYPE, Problem

_PROBLEM = {"$ref": "#/components/schemas/Problem"}
# Every route reads a request and a credential, and needs its servers.
_ALWAYS = (400, 401, 403, 422, 500, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the problems that a route answers with, besides those that any of them does."""
    return {status: _documented(status) for status in sorted({*_ALWAYS, *statuses})}


def _documented(status: int) -> dict[str, Any]:
    return {"description": KINDS[status][1], "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}


def document(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI document, once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {**problem.pop("$defs", {}), "Problem": problem}
        app.openapi_schema = schema
    return app.openapi_schema
