"""`POST /v1/rooms/{room_id}/messages`: what was said, into Redis."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import uuid5

from afterturn_client.messages import Message, new_message
from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.credential import Credential
from services.domain.ids import NAMESPACE
from services.memories.prefetching import reader_of
from services.memory_api.documented import problems
from services.memory_api.fields import Id, Moment, RoomPath, Text
from services.memory_api.guard import ApiParam, Ingester
from services.memory_api.once import Done, IdempotencyKey, once

MOST_MESSAGES = 100
router = APIRouter(prefix="/v1/rooms", tags=["Messages"])


class MessageIn(BaseModel):
    """One utterance. `content` may be left out only where there are tool calls.

    With `remember` false it is archived, and nothing is learned from it. Without an id it gets one: with an id of its
    own, recording it again is safe.
    """

    model_config = ConfigDict(extra="forbid")

    id: Id | None = None
    role: Literal["user", "assistant", "tool", "system"]
    content: Text | None = Field(None, max_length=1_000_000)
    user_id: Id | None = Field(None, description="The person whose turn it is. May be left out in a person's own room.")
    company_id: Id | None = None
    sent_at: Moment | None = Field(None, description="Now, if left out.")
    tool_calls: list[dict[str, JsonValue]] = Field([], max_length=1_000)
    metadata: dict[str, JsonValue] = {}
    remember: bool = True


class MessagesIn(BaseModel):
    """Messages of one room in their order; all of them are recorded, or none."""

    model_config = ConfigDict(extra="forbid")

    messages: list[MessageIn] = Field(min_length=1, max_length=MOST_MESSAGES)


class Buffered(BaseModel):
    """The receipt of one message."""

    message_id: str
    state: Literal["buffered"] = "buffered"


class Recorded(BaseModel):
    room_id: str
    receipts: list[Buffered] = Field(description="One for each message, in their order.")


_TURN: dict[str, Any] = {
    "summary": "A turn",
    "value": {
        "messages": [
            {"id": "turn-1:user", "role": "user", "content": "I moved to Lima."},
            {"id": "turn-1:assistant", "role": "assistant", "content": "Noted!"},
        ]
    },
}


@router.post(
    "/{room_id}/messages",
    status_code=202,
    response_model=Recorded,
    responses=problems(404, 409, 413),
    summary="Record messages",
)
async def record(
    room_id: RoomPath,
    body: Annotated[MessagesIn, Body(openapi_examples={"turn": _TURN})],
    request: Request,
    api: ApiParam,
    caller: Ingester,
    session_id: Annotated[Id | None, Query(description="Whose state and commands are warmed; the room's own.")] = None,
    key: IdempotencyKey = None,
) -> Response:
    """Acknowledge messages within one round trip to Redis; all that follows is done later.

    Where Redis is away the answer is a 503 at once, with the ids under which recording them again is safe.
    """
    given = [_message(one) for one in body.messages]

    async def work() -> Done:
        messages = await api.senders.checked(caller, room_id, _identified(given, caller, room_id, key))
        receipt = await api.recorder.record(room_id, messages)
        api.metrics.messages.inc(len(messages))
        if (reader := reader_of(room_id, messages)) is not None:
            api.prefetching.turn_arrived(reader, session_id or room_id)
        return Done(Recorded(room_id=room_id, receipts=[Buffered(message_id=id_) for id_ in receipt.message_ids]), 202)

    return await once(api.repeated, request, caller, key, work, goes_on_without=True)


def _message(given: MessageIn) -> Message:
    fields = given.model_dump(exclude_none=True)
    return new_message(**fields | {"tool_calls": tuple(given.tool_calls)})


def _identified(messages: Sequence[Message], caller: Credential, room_id: str, key: str | None) -> Sequence[Message]:
    """Derive ids from the Idempotency-Key, so that a repeated request is the same even while Postgres is away."""
    if key is None:
        return messages
    stem = uuid5(NAMESPACE, f"request\n{caller.name}\n{room_id}\n{key}")
    return [
        message if message.id is not None else message.model_copy(update={"id": f"{stem}:{index}"})
        for index, message in enumerate(messages)
    ]
