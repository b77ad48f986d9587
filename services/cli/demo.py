"""`demo`: the main job, on the sample conversation or on one's own."""

import os
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from afterturn_client.messages import Message
from afterturn_client.rooms import check_id, check_room_id

from services.cli.conversation import read_json_lines
from services.cli.demo_memories import remembered
from services.cli.demo_report import Report, search_all, show
from services.cli.exit_codes import FAILED, OK, CommandFailedError
from services.cli.output import Output
from services.cli.questions import Question, questions_about, sample_questions
from services.cli.reaching import opened
from services.cli.replay import replay
from services.cli.stack_addresses import find_running_stack, models_of, use
from services.cli.stack_board import StackBoard
from services.domain.errors import InvalidInputError
from services.domain.memories import Owner, owner_of
from services.embedded.program import environment_of
from services.embedded.stack import EmbeddedStack
from services.room_buffer.recorder import open_recorder
from services.settings import EmbeddedSettings, load, read_dot_env

SAMPLE_ROOM = "user:demo"
# Of servers that have just started, on a machine that may be slow.
_RECORD_SECONDS = 20.0
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Chat:
    room_id: str
    messages: list[Message]
    questions: list[Question]


async def demo(output: Output, file: Path | None, *, room_id: str | None, user_id: str, embedded: bool) -> int:
    read_dot_env()
    check_id("--user", user_id)
    chat = read_chat(file, room_id, user_id)
    started = time.monotonic()
    async with _servers(output, embedded=embedded) as ui_url:
        seconds = {"servers": time.monotonic() - started}
        report = await _run(output, chat, seconds, ui_url)
    output.emit(report.as_document())
    show(output, report)
    return OK if report.complete else FAILED


def read_chat(file: Path | None, room_id: str | None, user_id: str) -> Chat:
    """Read the file, or the sample; a wrong line raises `InvalidInputError` with its number and the field."""
    room = room_id or (SAMPLE_ROOM if file is None else f"room:demo-{_NOT_OF_AN_ID.sub('-', file.stem)[:100]}")
    check_room_id(room)
    try:
        raw = (
            files("services.sample").joinpath("conversation.jsonl").read_bytes() if file is None else file.read_bytes()
        )
    except OSError as error:
        raise InvalidInputError("FILE", f"a file that can be read ({error.strerror})") from None
    source = file.name if file else "the sample"
    messages = read_json_lines(raw.splitlines(), room, source=source, user_id=user_id, derive_ids=True)
    if not messages:
        raise InvalidInputError("FILE", "at least one message")
    return Chat(room, messages, questions_about(messages) if file else sample_questions())


def owners_of(messages: Iterable[Message]) -> list[Owner]:
    """Name the people and companies that a conversation may tell something about."""
    people = dict.fromkeys(message.user_id for message in messages if message.user_id)
    companies = dict.fromkeys(message.company_id for message in messages if message.company_id)
    return [*(owner_of("user", person) for person in people), *(owner_of("company", one) for one in companies)]


@asynccontextmanager
async def _servers(output: Output, *, embedded: bool) -> AsyncIterator[str | None]:
    """Have servers, and this process pointed at them; answer the address of Temporal's UI, where it is known."""
    if not embedded:
        yield None
    elif running := find_running_stack():
        output.note(f"using the stack that runs already (process {running.pid})")
        use(environment_of(running) | models_of(running.llm_proxy_url))
        yield running.temporal_ui_url
    else:
        board = StackBoard(output)
        stack = EmbeddedStack(load(EmbeddedSettings), on_step=board.step)
        board.expect(stack.addresses)
        async with AsyncExitStack() as exit_:
            with board.shown():
                await exit_.enter_async_context(stack)
            use(environment_of(stack.addresses))
            os.environ.update(stack.models.environment() if stack.models else {})
            yield stack.addresses.temporal_ui_url


async def _run(output: Output, chat: Chat, seconds: dict[str, float], ui_url: str | None) -> Report:
    async with opened("redis", "postgres", "temporal") as resources, open_recorder(_RECORD_SECONDS) as memory:
        replayed = await replay(output, resources, memory, chat.room_id, chat.messages)
        began = time.monotonic()
        searches = await search_all(resources, chat.room_id, chat.questions)
        seconds |= replayed.seconds | {"searches": time.monotonic() - began}
        states = await resources.rooms.list_rooms(room_id=chat.room_id)
        if not states:
            raise CommandFailedError(f"nothing of {chat.room_id} was archived: see `afterturn quarantine list`")
        left = await resources.buffer.peek(chat.room_id)
        return Report(
            state=states[0],
            replayed=replayed,
            summary_model=resources.models.summary_model,
            embedding_model=resources.models.embedding_model,
            rolling=await resources.summaries.rolling(chat.room_id),
            parts=await resources.summaries.parts(chat.room_id),
            memories=await remembered(resources, owners_of(chat.messages)),
            memories_configured=resources.memories.is_configured,
            searches=searches,
            set_aside=len(await resources.quarantine.list_open(room_id=chat.room_id)),
            left_in_redis=left.length + left.claimed,
            seconds=seconds,
            temporal_ui_url=ui_url,
        )
