"""What goes with a person or a company, and what stays with those who are left in a room."""

import json
from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.domain.credentials import make_key
from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner, owner_of
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.memories.deleting import MessageDeletion
from services.postgres.api.keys import ApiKeys, Binding
from services.postgres.archive.room_reading import RoomReading
from services.postgres.archive.writing import Archive
from services.postgres.database import Database, Tenant
from services.postgres.forgetting.erasing_owner import PAGE
from services.postgres.memories.writing import know_owner, record
from tests.support.forgotten_rooms import AFTER, ANA, BEFORE, archive, begin_epoch, claim, forget, ids_in, said
from tests.support.tenants import NOON

BEN, ACME = owner_of("user", "ben"), owner_of("company", "acme")
ROOM = "room:talk"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.transaction() as session:
        return [tuple(row) for row in await session.execute(text(query))]


async def put_aside(database: Database, *raw: bytes) -> None:
    entries = [ClaimedEntry(place, one, Rejected("unknown_role", "role")) for place, one in enumerate(raw)]
    await Archive(database).add(ROOM, claim(BEFORE, "aside"), entries, run_id="run")


async def test_a_company_keeps_its_room_when_who_spoke_first_in_it_is_forgotten(database: Database) -> None:
    await archive(
        database, ROOM, BEFORE, said("a", "ana", "acme"), said("b", "ben"), said("to ben", None, role="assistant")
    )
    await forget(database)
    assert await ids_in(database, ROOM) == ["b", "to ben"]
    assert await rows(database, "select owner_id, user_id, company_id from rooms") == [(ACME.id, None, "acme")]
    assert await RoomReading(database).find(ROOM, tenant=Tenant.of(BEN)) is None


async def test_a_persons_room_goes_to_who_spoke_next_in_it(database: Database) -> None:
    await archive(database, ROOM, BEFORE, said("a"), said("b", "ben"))
    await forget(database)
    assert await ids_in(database, ROOM) == ["b"]
    assert await rows(database, "select owner_id, user_id from rooms") == [(BEN.id, "ben")]


@pytest.mark.parametrize("others", [[], [said("nameless", None)]])
async def test_a_room_in_which_nobody_else_is_named_goes_whole(database: Database, others: list[NewMessage]) -> None:
    opening = [said("system", None, role="system"), said("hello", None, role="assistant")]
    await archive(database, ROOM, BEFORE, *opening, said("a"), said("to ana", None, role="assistant"), *others)
    await put_aside(database, b'{"role": "bot", "content": "about ana"}')
    await forget(database)
    assert await rows(database, "select id from rooms union all select id from messages") == []
    assert await rows(database, "select raw from quarantine") == []


async def test_what_others_said_and_nobody_could_read_stays(database: Database) -> None:
    await archive(database, ROOM, BEFORE, said("a"))
    await put_aside(database, b'{"role": "bot", "user_id": "ben"}', b'{"role": "bot", "user_id": "ana"}', b"broken")
    await forget(database)
    assert await rows(database, "select convert_from(raw, 'UTF8') from quarantine") == [
        ('{"role": "bot", "user_id": "ben"}',)
    ]


async def test_a_room_that_a_nameless_reply_keeps_is_nobodys(database: Database) -> None:
    await archive(database, ROOM, BEFORE, said("a"))
    await begin_epoch(database)
    await archive(database, ROOM, AFTER, said("late reply", None, role="assistant"))
    await forget(database)
    assert await ids_in(database, ROOM) == ["late reply"]
    assert await rows(database, "select owner_id, user_id from rooms") == [(None, None)]


async def test_a_room_of_many_pages_goes_whole(database: Database) -> None:
    """Though what is left after a page names nobody, or somebody else in the company."""
    tools = [said(f"t{number}", None, role="tool") for number in range(PAGE + 200)]
    await archive(database, ROOM, BEFORE, said("system", None, role="system"), said("a"), *tools)
    bens = [said(f"b{number}", "ben") for number in range(PAGE + 200)]
    await archive(database, "room:company", BEFORE, said("acme", "ben", "acme"), *bens)
    await forget(database)
    assert await ids_in(database, ROOM) == []
    assert len(await ids_in(database, "room:company")) == PAGE + 201
    await forget(database, ACME, run_id="company")
    assert await rows(database, "select id from rooms union all select id from messages") == []


async def test_an_entry_that_names_them_by_their_e_mail_address_goes_with_their_room(database: Database) -> None:
    async with database.transaction() as session:
        await session.run_sync(know_owner, ANA)
        await session.execute(text("update profiles set email = 'ana@x.org'"))
    await archive(database, ROOM, BEFORE, said("a"))
    await put_aside(database, b'{"role": "user", "user_id": "ana@x.org"}', b'{"user_id": "ana@x.org", broken')
    await forget(database)
    assert await rows(database, "select raw from quarantine") == []


async def test_what_opens_a_room_goes_with_who_spoke_first(database: Database) -> None:
    await archive(database, ROOM, BEFORE, said("about ana", None, role="system"), said("a"), said("b", "ben"))
    await forget(database)
    assert await ids_in(database, ROOM) == ["b"]
    await archive(database, "room:bens", BEFORE, said("about ben", None, role="system"), said("b", "ben"), said("a2"))
    await forget(database, run_id="again")
    assert await ids_in(database, "room:bens") == ["about ben", "b"]


async def test_what_a_company_could_not_read_goes_with_its_room(database: Database) -> None:
    await archive(database, ROOM, BEFORE, said("a", "ana", "acme"))
    await put_aside(database, b'{"role": "bot", "content": "x"}', b'{"role": "x", "user_id": "ana"}')
    await archive(database, "room:other", BEFORE, said("b", "ben"))
    await forget(database, ACME)
    assert await rows(database, "select raw from quarantine") == []
    assert await ids_in(database, "room:other") == ["b"]


@pytest.mark.parametrize(("last", "left"), [("ana", ["b"]), ("ben", ["b", "reply"])])
async def test_a_reply_that_was_claimed_before_goes_with_whom_it_replies_to(
    database: Database, last: str, left: list[str]
) -> None:
    for speaker in sorted(("ana", "ben"), key=lambda one: one == last):
        await archive(database, ROOM, BEFORE, said(speaker[0], speaker))
    await begin_epoch(database)
    late = [said("reply", None, role="assistant"), said("late", "ana")]
    await archive(database, ROOM, BEFORE, *late)
    await forget(database)
    assert await ids_in(database, ROOM) == left


async def test_what_a_model_was_shown_of_an_erased_memory_goes_whoever_has_the_room(database: Database) -> None:
    await archive(database, ROOM, BEFORE, said("a", "ana", "acme"), said("a2", "ana", "acme"), said("b", "ben"))
    memory = NewMemory("user_health", "Has a cough.", NOON, sources=(message_uid(ROOM, "a"),))
    async with database.transaction() as session:
        await session.run_sync(know_owner, ANA)
        await session.run_sync(partial(record, owner=ANA, memory=memory, memory_id="in Mem0"))
    await answered(database, 2, [(ANA, "Has a cough.")])
    await answered(database, 3, [(ANA, "Likes maps."), (BEN, "Has a cough.")])
    deletion = MessageDeletion(database, None)
    place = await deletion.find(ROOM, "a")
    assert place is not None
    await deletion.delete(place)
    assert await rows(database, "select last_seq from chunks join model_answers on id = chunk_id") == [(3,)]


async def test_keys_of_who_was_forgotten_open_nothing_and_keep_the_api_closed(database: Database) -> None:
    keys = ApiKeys(database)
    made = make_key()
    await keys.add(made, name="ana's", scopes=["read"], binding=Binding("ana", None), expires_at=None)
    await forget(database)
    [left] = await keys.page()
    assert (left.name, left.binding.is_nobody, left.revoked_at is None) == ("", True, False)
    assert await keys.any_made()
    assert await keys.page(within=Binding("ana", None)) == []


async def answered(database: Database, seq: int, known: list[tuple[Owner, str]]) -> None:
    """Digest one message by itself, with memories shown to the model."""
    shown = {"known": [{"owner": {"type": one.type, "id": str(one.id)}, "content": content} for one, content in known]}
    chunk = {"id": uuid4(), "room": ROOM, "seq": seq}
    async with database.transaction() as session:
        await session.execute(
            text(
                "insert into chunks (id, room_id, first_seq, last_seq, tokens, state) "
                "values (:id, :room, :seq, :seq, 1, 'digested')"
            ),
            chunk,
        )
        await session.execute(
            text(
                "insert into model_answers (chunk_id, step, prompt_version, model, answer, shown, prompt_tokens, "
                "completion_tokens, run_id) values (:id, 'extract', '1', 'm', '{}', cast(:shown as jsonb), 1, 1, 'r')"
            ),
            {"id": chunk["id"], "shown": json.dumps(shown)},
        )
