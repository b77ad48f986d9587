"""Asks the hosted Mem0 through its own client, on the loop that opened it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from services.domain.errors import AfterturnError
from services.llm_proxy.http_client import http_client
from services.mem0_store.platform_errors import MemoryGoneError, OutcomeUnknownError, refuse
from services.mem0_store.quiet_import import before_mem0

DEFAULT_HOST = "https://api.mem0.ai"
PAGE = 200


@dataclass(frozen=True, slots=True)
class Item:
    """A memory as Mem0 has it."""

    id: str
    text: str
    entity_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime | None


class PlatformClient:
    """One client for one loop; opened with `PlatformClient.open`. Mem0 may be away then: it is asked at the first call.

    Every call raises `MemoryStoreUnavailableError` for what may pass, `OutcomeUnknownError` among it where the work may
    have been done; `MemoryRefusedError` for what never can.
    """

    def __init__(self, http: httpx.AsyncClient, api_key: str, host: str, answer_seconds: float) -> None:
        self._http = http
        self._api_key = api_key
        self._host = host
        self._answer_seconds = answer_seconds
        self._loop = asyncio.get_running_loop()
        self._opening = asyncio.Lock()
        self._client: Any = None  # mem0 publishes no types

    @classmethod
    @asynccontextmanager
    async def open(cls, api_key: str, *, host: str | None = None, answer_seconds: float) -> AsyncIterator[Self]:
        url = (host or DEFAULT_HOST).rstrip("/")
        async with http_client(url) as http:
            http.event_hooks = {"response": [refuse]}
            yield cls(http, api_key, url, answer_seconds)

    async def prepare(self) -> None:
        """Load Mem0's client, which takes seconds the first time: do it before there is something to hurry for."""
        await self._loaded()

    async def add(self, text: str, *, entity_id: str, metadata: Mapping[str, str]) -> str | None:
        """Add a memory; None when Mem0 says that it added none, as for a text that it has already."""
        messages = [{"role": "user", "content": text}]
        answer = await self._ask("add", messages, user_id=entity_id, metadata=dict(metadata), infer=False)
        results = _part(answer, "results", list)
        return str(_part(results[0], "id", str)) if results else None

    async def get(self, memory_id: str) -> Item | None:
        try:
            return _item(await self._ask("get", memory_id))
        except MemoryGoneError:
            return None

    async def update(self, memory_id: str, text: str, *, metadata: Mapping[str, str]) -> bool:
        """Give a memory a new text and all of its metadata; False when it is gone."""
        try:
            await self._ask("update", memory_id, text=text, metadata=dict(metadata))
        except MemoryGoneError:
            return False
        return True

    async def delete(self, memory_id: str) -> bool:
        try:
            await self._ask("delete", memory_id)
        except MemoryGoneError:
            return False
        return True

    async def count(self, filters: Mapping[str, Any]) -> int:
        answer = await self._page(filters, 1, 1)
        return int(_part(answer, "count", int))

    async def list(self, filters: Mapping[str, Any]) -> list[Item]:
        """Give all that matches, each memory once; what is added or deleted meanwhile may be missing."""
        found: dict[str, Item] = {}
        page = 1
        while True:
            answer = await self._page(filters, page, PAGE)
            items = [_item(each) for each in _part(answer, "results", list)]
            found |= {item.id: item for item in items}
            if not answer.get("next") or not items:
                return list(found.values())
            page += 1

    async def entities(self) -> Sequence[str]:
        """Name the people of whom Mem0 has memories, as `add` was told them."""
        found = _part(await self._ask("users"), "results", list)
        return [_part(each, "name", str) for each in found if each.get("type") == "user"]

    async def _page(self, filters: Mapping[str, Any], page: int, size: int) -> Any:  # noqa: ANN401
        return await self._ask("get_all", filters=dict(filters), page=page, page_size=size)

    async def _ask(self, call: str, *args: Any, **options: Any) -> Any:  # noqa: ANN401  the caller reads the answer
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this client belongs to the loop that opened it")
        client = await self._loaded()
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await getattr(client, call)(*args, **options)
        except AfterturnError:
            raise
        except TimeoutError:
            raise OutcomeUnknownError(f"Mem0 did not answer within {self._answer_seconds:g} s") from None
        except Exception as error:  # noqa: BLE001  whatever it is, the request may have arrived
            raise OutcomeUnknownError(f"Mem0 cannot be reached or read ({type(error).__name__})") from None

    async def _loaded(self) -> Any:  # noqa: ANN401
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_sdk_client, self._api_key, self._host, self._http)
        return self._client


def _sdk_client(api_key: str, host: str, http: httpx.AsyncClient) -> Any:  # noqa: ANN401
    """Import and build Mem0's client: takes seconds, and asks nobody."""
    before_mem0()
    from mem0.client.main import AsyncMemoryClient  # noqa: PLC0415  telemetry is decided while it is imported

    class Client(AsyncMemoryClient):  # type: ignore[misc]
        def _validate_api_key(self) -> None:
            """Its own asks Mem0 without a time limit, and raises when Mem0 is away; we never ask for a project."""
            self.org_id = self.project_id = "not asked"

    return Client(api_key=api_key, host=host, client=http)


def _item(found: Any) -> Item:  # noqa: ANN401
    return Item(
        id=_part(found, "id", str),
        text=_part(found, "memory", str),
        entity_id=found.get("user_id"),
        metadata=found.get("metadata") or {},
        created_at=_time(found.get("created_at")),
    )


def _time(told: Any) -> datetime | None:  # noqa: ANN401
    try:
        time = datetime.fromisoformat(told)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _part(found: Any, name: str, kind: type) -> Any:  # noqa: ANN401
    part = found.get(name) if isinstance(found, dict) else None
    if not isinstance(part, kind):
        raise OutcomeUnknownError("Mem0 answered in another shape than it should")
    return part
