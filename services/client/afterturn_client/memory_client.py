"""The client of chat services: `async with MemoryClient.connect() as memory: await memory.record_turn(...)`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, Unpack

from temporalio.runtime import Runtime

from afterturn_client.answers import Context, MemoryPage, SearchAnswer
from afterturn_client.api import MemoryApi, OwnerType
from afterturn_client.connecting import Addresses, open_api, open_outage_queue, open_redis_recorder
from afterturn_client.errors import InvalidFieldError, NoApiError
from afterturn_client.messages import Message
from afterturn_client.outage_queue import OutageQueue
from afterturn_client.questions import ContextOptions, MemoriesOptions, SearchOptions
from afterturn_client.receipts import TurnReceipt
from afterturn_client.recorders import Recorder
from afterturn_client.recording import BATCH_SIZE
from afterturn_client.rooms import check_room_id
from afterturn_client.sections import Sections
from afterturn_client.temporal_connection import open_temporal
from afterturn_client.turns import TurnParts, completed, turn_messages
from afterturn_client.waking import RoomWaker


class MemoryClient:
    """Records turns within one Redis round trip, wakes Temporal in the background, and reads memory over the API.

    `waker` counts the rooms that were woken, `outage_queue` the messages that wait; each is None where there is none.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        api: MemoryApi | None = None,
        waker: RoomWaker | None = None,
        outage_queue: OutageQueue | None = None,
    ) -> None:
        self._recorder = recorder
        self._api = api
        self.waker = waker
        self.outage_queue = outage_queue

    @classmethod
    @asynccontextmanager
    async def connect(  # noqa: PLR0913  each by name
        cls,
        redis_url: str | None = None,
        temporal_address: str | None = None,
        *,
        temporal_namespace: str | None = None,
        redis_cluster: bool = False,
        api_url: str | None = None,
        api_key: str | None = None,
        batch_size: int = BATCH_SIZE,
        seconds: float = 2.0,
        api_seconds: float = 10.0,
        queue_in_outage: int = 0,
        close_grace_seconds: float = 2.0,
        temporal_runtime: Runtime | None = None,
    ) -> AsyncIterator[Self]:
        """Open a client for the running loop. No server is reached before the first call.

        What is left out is read from `REDIS_URL`, `AFTERTURN_API_URL`, `AFTERTURN_API_KEY` and Temporal's own
        variables. With an `api_url` and no `redis_url`, turns are recorded over the API, and neither Redis nor Temporal
        is needed. `batch_size` is the workers' `BATCH_SIZE`.

        `seconds` is the longest that recording may take; `api_seconds` is how long any other request to the API is
        tried again. `queue_in_outage` is how many messages may wait in this process's memory when they are not
        acknowledged; they are lost if the process dies, so it is 0 unless you say otherwise. Where some still wait at
        the end, or were refused by the API, `UnsentMessagesError` is raised with them after `close_grace_seconds`.
        """
        addresses = Addresses.found(redis_url, api_url, api_key)
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(open_api(addresses, seconds=api_seconds, record_seconds=seconds))
            recorder: Recorder | None = api
            waker: RoomWaker | None = None
            if addresses.redis_url is not None:
                temporal = await open_temporal(temporal_address, temporal_namespace, temporal_runtime)
                recorder, waker = await stack.enter_async_context(
                    open_redis_recorder(
                        addresses.redis_url,
                        temporal,
                        cluster=redis_cluster,
                        batch_size=batch_size,
                        seconds=seconds,
                        close_grace_seconds=close_grace_seconds,
                    )
                )
            if recorder is None:
                raise NoApiError
            queue = await stack.enter_async_context(
                open_outage_queue(recorder, queue_in_outage, close_grace_seconds=close_grace_seconds)
            )
            yield cls(recorder, api=api, waker=waker, outage_queue=queue)

    async def record_turn(self, room_id: str, *, user: str, **parts: Unpack[TurnParts]) -> TurnReceipt:
        """Record what the user said with the reply and its tool calls; `TurnParts` says what else a turn may have.

        `user_id` may be left out in a person's own room only. The messages' ids come from `turn_id`, so that recording
        the same turn again is safe; without one, catch `RecordingFailedError` and record its messages again.
        """
        return await self._record(room_id, turn_messages(room_id, user, parts))

    async def record(self, room_id: str, messages: Sequence[Message]) -> TurnReceipt:
        """Record messages in their order, all or none, giving each the id, time and person that it lacks."""
        return await self._record(room_id, completed(room_id, messages))

    async def context(self, room_id: str, **options: Unpack[ContextOptions]) -> Context:
        """Return what to put in front of a model: summary, memories and recent messages, those still in Redis too."""
        check_room_id(room_id)
        return await self._reading().context({"room_id": room_id, **options})

    async def search(self, query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Search memories, messages and summaries by words and by meaning."""
        return await self._reading().search({"query": query, **options})

    async def memories(self, **options: Unpack[MemoriesOptions]) -> MemoryPage:
        """Return the memories of a person or of a company, one page at a time."""
        owner_type, owner_id = _owner(options)
        page = {"limit": options.get("limit"), "cursor": options.get("cursor")}
        return await self._reading().memories(owner_type, owner_id, page)

    def sections(
        self, *, user_id: str | None = None, company_id: str | None = None, namespace: str | None = None
    ) -> Sections:
        """Give the section store of a person or of a company, in a namespace: a plugin has one of its own."""
        owner_type, owner_id = _owner({"user_id": user_id, "company_id": company_id})
        return Sections(self._reading(), owner_type, owner_id, namespace)

    async def _record(self, room_id: str, messages: Sequence[Message]) -> TurnReceipt:
        ids = tuple(message.id or "" for message in messages)
        if self.outage_queue is not None and not await self.outage_queue.record(room_id, messages):
            return TurnReceipt(room_id, ids, "queued", self._api)
        if self.outage_queue is None:
            await self._recorder.record(room_id, messages)
        return TurnReceipt(room_id, ids, "buffered", self._api)

    def _reading(self) -> MemoryApi:
        if self._api is None:
            raise NoApiError
        return self._api


def _owner(options: MemoriesOptions) -> tuple[OwnerType, str]:
    user_id, company_id = options.get("user_id"), options.get("company_id")
    if user_id is not None and company_id is None:
        return "user", user_id
    if company_id is not None and user_id is None:
        return "company", company_id
    raise InvalidFieldError("user_id", "the id of a person, or none and the id of a company")
