"""What `/metrics` says of the API: routes and counts, in a registry of its own."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.routes import route_of

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        names = ("method", "route", "status")
        self._requests = Counter(
            "memory_api_requests", "Requests by the status they got.", names, registry=self._registry
        )
        self._seconds = Histogram(
            "memory_api_request_seconds",
            "From a request to its answer.",
            ("method", "route"),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self.messages = Counter("memory_api_messages", "Messages that Redis acknowledged.", registry=self._registry)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request by its route; whatever no route takes is one series, as callers choose paths."""
        route = route_of(scope) or "none"
        method = scope["method"] if route != "none" else "none"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class Measured:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._metrics.ended(scope, status, time.monotonic() - started)
