from starlette.types import Scope


def route_of(scope: Scope) -> str | None:
    """Name the route, not the path: a path holds ids and tokens, which are nobody's business in a log."""
    # FastAPI keeps a route as its router has it; with the prefixes that it was included under, it stands here.
    included = scope.get("fastapi", {}).get("effective_route_context")
    path: str | None = getattr(included or scope.get("route"), "path", None)
    return path
