"""`record`: standard input into a room."""

import sys
from collections.abc import Coroutine, Sequence
from io import BytesIO
from typing import Any, Literal

from afterturn_client.errors import RecordingFailedError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message, encode_entry
from afterturn_client.rooms import check_id, check_room_id

from services.cli.conversation import looks_like_json, read_json_lines, read_text
from services.cli.exit_codes import OK, UnreachableError
from services.cli.output import Output
from services.cli.reaching import redis_place
from services.domain.errors import InvalidInputError
from services.room_buffer.recorder import open_recorder

Format = Literal["auto", "jsonl", "text"]
_SOURCE = "standard input"
# One call is one script on Redis, which serves nobody else meanwhile.
_BATCH = 100


def record(
    output: Output,
    room_id: str,
    *,
    reads: Format,
    user_id: str | None,
    company_id: str | None,
) -> Coroutine[Any, Any, int]:
    """Read all of standard input, before there is a loop: a signal ends the wait for it. Give what records it."""
    check_room_id(room_id)
    for field, value in (("--user", user_id), ("--company", company_id)):
        if value is not None:
            check_id(field, value)
    messages = _read(room_id, reads, user_id, company_id)
    if not messages:
        raise InvalidInputError(_SOURCE, "at least one message")
    return _record(output, room_id, messages)


async def _record(output: Output, room_id: str, messages: Sequence[Message]) -> int:
    async with open_recorder() as memory:
        ids = await record_all(memory, room_id, messages, output)
        woken = memory.waker
    output.emit({"room_id": room_id, "recorded": len(ids), "message_ids": ids, "state": "buffered"})
    output.print(f"{len(ids)} messages are recorded in {room_id}")
    if woken is not None and woken.failed:
        output.note("Temporal was not reached: the messages are taken by the next sweep once it is back")
    return OK


async def record_all(memory: MemoryClient, room_id: str, messages: Sequence[Message], output: Output) -> list[str]:
    """Record messages in their order; when Redis fails half way, say from which one to go on."""
    for message in messages:
        encode_entry(message)  # too large a message must not be found out half way
    ids: list[str] = []
    with output.progress() as progress:
        task = progress.add_task("recording", total=len(messages))
        for start in range(0, len(messages), _BATCH):
            batch = messages[start : start + _BATCH]
            try:
                receipt = await memory.record(room_id, batch)
            except RecordingFailedError as error:
                raise UnreachableError(
                    f"REDIS_URL: {redis_place()} did not acknowledge ({error.cause}): the first {len(ids)} messages "
                    f"are recorded, the next {len(batch)} perhaps; with ids, recording all of them again is safe"
                ) from None
            ids += receipt.message_ids
            progress.advance(task, len(batch))
    return ids


def _read(room_id: str, reads: Format, user_id: str | None, company_id: str | None) -> list[Message]:
    if sys.stdin.isatty():
        Output(as_json=False).note("reading messages from the terminal; end with Ctrl-D")
    # At once: what reads line by line minds no signal between two of them.
    lines = BytesIO(sys.stdin.buffer.read()).readlines()
    if reads == "jsonl" or (reads == "auto" and looks_like_json(lines)):
        return read_json_lines(lines, room_id, source=_SOURCE, user_id=user_id, company_id=company_id)
    return read_text(lines, room_id, source=_SOURCE, user_id=user_id, company_id=company_id)
