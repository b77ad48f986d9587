"""Pages of an import are written again after crashes, and each message is counted once."""

import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random

import pytest

from activities.import_steps import ImportState
from activities.importing import PageWriter
from activities.step_pace import StepPace
from services.domain.messages import ClaimedEntry, NewMessage
from services.imports.pages import pages
from services.imports.placing import Target
from services.postgres.archive.imports import CLAIM_PREFIX, Imports
from services.postgres.archive.rooms import Rooms
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from tests.support.exports import chat, line


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


class SuddenPace(StepPace):
    """A step whose time is over at any moment."""

    def __init__(self, random: Random) -> None:
        super().__init__(None, largest_batch=random.choice([1, 7, 200]))
        self._random = random

    def is_over(self) -> bool:
        return self._random.random() < 0.1


class ShortPace(StepPace):
    """A step whose time is over after so many messages."""

    def __init__(self, *, batch: int, messages: int) -> None:
        super().__init__(None, largest_batch=batch)
        self.waited = 0
        self._messages = messages

    def is_over(self) -> bool:
        return self.waited >= self._messages

    async def wait(self, done: int) -> None:
        self.waited += done


async def written(database: Database, text: str, target: Target, run: str, random: Random) -> ImportState:
    """Import in steps of all rates, with crashes: only a heartbeat some pages ago is known to the next attempt."""
    recorded, finished = ImportState(), False
    while not finished:
        writer, states = PageWriter(Archive(database), Imports(database), target, run, recorded), [recorded]
        pace, crashes = SuddenPace(random), random.random() < 0.5
        found = pages(io.BytesIO(text.encode()), target.reads, recorded.cursor, messages=20)
        while page := next(found, None):
            states.append(await writer.write(page, pace, run_id="r"))
            if states[-1].in_page or pace.is_over():
                break
        else:
            finished = not crashes
        recorded = random.choice(states) if crashes else states[-1]
    return recorded


async def next_step(database: Database, text: str, run: str, state: ImportState, pace: StepPace) -> ImportState:
    writer = PageWriter(Archive(database), Imports(database), Target("jsonl", user_id="42"), run, state)
    for page in pages(io.BytesIO(text.encode()), "jsonl", state.cursor, messages=70):
        state = await writer.write(page, pace, run_id="r")
        if state.in_page or pace.is_over():
            return state
    return state.model_copy(update={"finished": True})


@pytest.mark.parametrize("seed", range(4))
async def test_each_message_is_counted_once_wherever_attempts_end(database: Database, seed: int) -> None:
    random = Random(seed)
    lines = [line(number, conversation_id=f"c{number % 3}") for number in range(120)]
    for number in range(15):
        lines.insert(random.randrange(len(lines)), random.choice([line for line in lines if "broken" not in line]))
        if number % 3 == 0:
            lines.append(f"{{broken {number}\n")
    target = Target("jsonl", user_id="42")
    state = await written(database, "".join(lines), target, "first", random)
    counts = (state.messages_added, state.repeated, state.quarantined)
    assert counts == (120, 15, 5)
    assert sum(room.messages for room in await Rooms(database).list_rooms()) == 120
    again = await written(database, "".join(lines), target, "second", random)
    assert (again.messages_added, again.repeated, again.quarantined) == (0, 135, 5)


@pytest.mark.parametrize("batch", [1, 4, 30])
async def test_a_message_takes_its_share_of_the_rate_once_whatever_became_of_it(database: Database, batch: int) -> None:
    """Known and broken lines, of which a step at its rate can do only a part of a page, and a killed attempt on top."""
    text = "".join(line(number) + f"{{broken {number}\n" for number in range(40))
    first = await next_step(database, text, "first", ImportState(), ShortPace(batch=200, messages=200))
    assert (first.messages_added, first.quarantined) == (40, 40)
    text += "".join(line(number) for number in range(40, 60))
    state, steps, done, paced = ImportState(), 0, [0], 0
    while not state.finished:
        steps += 1
        assert steps <= 10, "it ends, as each step does ten messages at least"
        await next_step(database, text, "second", state, ShortPace(batch=batch, messages=10))
        pace = ShortPace(batch=batch, messages=10)
        state = await next_step(database, text, "second", state, pace)
        paced += pace.waited
        done.append(state.messages_added + state.repeated + state.quarantined + state.in_page)
    assert (state.messages_added, state.repeated, state.quarantined) == (20, 40, 40)
    assert done == sorted(done)
    # What the killed attempt wrote of the new ones is free as well.
    assert 80 <= paced < 100


async def test_a_conversation_of_many_pages_is_taken_up_in_its_middle(database: Database) -> None:
    random = Random(5)
    text = json.dumps([chat("a", 40), chat("b", 3), chat("c", 25)])
    state = await written(database, text, Target("chatgpt", user_id="42"), "first", random)
    assert (state.messages_added, state.repeated, state.quarantined) == (136, 0, 0)
    messages = await Rooms(database).messages("room:chatgpt:a")
    assert [message.content for message in messages] == [
        f"{verb} {turn}" for turn in range(40) for verb in ("asks", "hears")
    ]


async def test_what_was_said_before_the_import_is_not_the_imports(database: Database) -> None:
    text = "".join(line(number, conversation_id="c") for number in range(10))
    target = Target("jsonl", user_id="42")
    await written(database, text, target, "first", Random(1))
    more = text + line(10, conversation_id="c") + line(3, conversation_id="c", content="another under a known id")
    state = await written(database, more, target, "second", Random(1))
    assert (state.messages_added, state.repeated, state.quarantined) == (1, 10, 1)


async def test_a_rooms_next_messages_tell_whether_it_is_a_backlog(database: Database) -> None:
    def entry(name: str, company_id: str | None = None) -> ClaimedEntry:
        said = NewMessage(name, "user", name, "42", company_id, datetime(2026, 3, 2, tzinfo=UTC))
        return ClaimedEntry(0, b"", said)

    archive, imports = Archive(database), Imports(database)
    for room, claim in {"room:old": f"{CLAIM_PREFIX}1/0.0/a", "room:live": "b" * 32}.items():
        await archive.add(room, claim, [entry("m1", "acme" if room == "room:old" else None)], run_id="r")
    await archive.add("room:old", "c" * 32, [entry("m2", "acme")], run_id="r")
    assert await imports.backlog(["room:old", "room:live", "room:none"]) == {"room:old": "acme"}
