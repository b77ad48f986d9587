"""Two people, two companies and something of each in every table that is protected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner, brain_id, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.archive import summaries
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.summaries import Summary
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.memories.writing import know_owner, record
from services.postgres.vectors.tables import Embeddings, Item, memory_table

MODEL = "toy"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")
ACME, GLOBEX = owner_of("company", "acme"), owner_of("company", "globex")
OWNERS = (ANA, BEN, ACME, GLOBEX)


@dataclass(frozen=True, slots=True)
class Protected:
    """A protected table, the SQL that names the owner of a row in it, and a column to write.

    The SQL reads `all_rooms`, `all_versions` and `all_values`: copies that no policy hides.
    """

    name: str
    owner: str
    column: str
    tenants_write: bool = True


_OF_ROOM = "(select owner_id::text from all_rooms where all_rooms.id = room_id)"
_OF_VERSION = "(select coalesce(user_id, company_id)::text from all_versions where all_versions.id = {})"


_OF_VALUE = "(select owner_id::text from all_values where all_values.id = value_id)"


def protected(memories: str, vectors: str) -> tuple[Protected, ...]:
    return (
        Protected("section_values", "owner_id::text", "key"),
        Protected("section_commands", "owner_id::text", "namespace"),
        Protected("section_vectors", _OF_VALUE, "model"),
        Protected("rooms", "owner_id::text", "id", tenants_write=False),
        Protected("messages", _OF_ROOM, "content", tenants_write=False),
        Protected("chunks", _OF_ROOM, "state", tenants_write=False),
        Protected("summaries", _OF_ROOM, "text", tenants_write=False),
        Protected("user_brain", "user_id::text", "content"),
        Protected("company_brain", "company_id::text", "content"),
        Protected("memory_versions", "coalesce(user_id, company_id)::text", "slug"),
        Protected("memory_sources", _OF_VERSION.format("version_id"), "message_uid"),
        Protected("mem0_intents", "owner_id::text", "slug"),
        Protected(memories, "payload ->> 'owner_id'", "payload"),
        Protected(vectors, f"case kind when 'memory' then {_OF_VERSION.format('item_id')} else {_OF_ROOM} end", "kind"),
    )


async def fill(database: Database) -> tuple[Protected, ...]:
    """Give each owner a room with a message, a summary, a memory, an intent and their vectors."""
    for owner in OWNERS:
        await _talk(database, owner)
    async with database.transaction() as session:
        memories = await session.run_sync(memory_table, MODEL, 2)
        for owner in OWNERS:
            await session.run_sync(_remember, owner, memories)
        vectors = await session.scalar(text("select table_name from embedding_models"))
    return protected(memories, str(vectors))


def room_of(owner: Owner) -> str:
    return f"{'user' if owner.type == 'user' else 'room'}:{owner.external_id}"


def said_by(owner: Owner) -> tuple[NewMessage, ...]:
    user, company = (owner.external_id, None) if owner.type == "user" else ("visitor", owner.external_id)
    return (NewMessage("m1", "user", f"the secret of {owner}", user, company, NOON),)


async def archive(database: Database, room: str, messages: Sequence[NewMessage]) -> None:
    entries = [ClaimedEntry(number, b"", message) for number, message in enumerate(messages)]
    await Archive(database).add(room, f"claim {room}", entries, run_id="run")


async def _talk(database: Database, owner: Owner) -> None:
    room = room_of(owner)
    await archive(database, room, said_by(owner))
    chunks = Chunks(database, max_tokens=100, max_messages=10)
    chunk = await chunks.next_waiting(room)
    assert chunk
    summary = Summary("a secret", "model", 1, 1, "v1", MODEL)
    async with database.transaction() as session:
        await summaries.keep(session, room, chunk.id, {"chunk": summary}, run_id="run")
    await Embeddings(database, MODEL).save({Item(message_uid(room, "m1"), "message", room): [1.0, 0.0]})


_SECTIONS = (
    (
        "insert into section_values "
        "(id, owner_type, owner_id, section, namespace, key, value, is_compressed, raw_size) "
        "values (gen_random_uuid(), :type, :owner, 'facts', 'default', 'secret', '1', false, 1)"
    ),
    (
        "insert into section_vectors (value_id, model, version, embedding) "
        "select id, 'toy', version, '[1,0]' from section_values where owner_type = :type and owner_id = :owner"
    ),
    (
        "insert into section_commands "
        "(id, owner_type, owner_id, namespace, of_owner, value, is_compressed, raw_size) "
        "values (gen_random_uuid(), :type, :owner, 'default', gen_random_uuid(), '1', false, 1)"
    ),
)


def _remember(session: Session, owner: Owner, memories: str) -> None:
    know_owner(session, owner)
    secret = NewMemory("secret", f"the secret of {owner}", NOON, sources=(message_uid(room_of(owner), "m1"),))
    placed = record(session, owner, secret, memory_id=str(brain_id(owner, "secret")))
    vectors = session.scalar(text("select table_name from embedding_models"))
    of_owner = {"id": placed.brain_id, "version": placed.version_id, "type": owner.type, "owner": str(owner.id)}
    session.execute(
        text(
            f"insert into {memories} (id, vector, payload) values (:id, '[1,0]', jsonb_build_object("  # noqa: S608
            "'owner_type', cast(:type as text), 'owner_id', cast(:owner as text), 'slug', 'secret', 'data', 'secret'))"
        ),
        of_owner,
    )
    vector = f"insert into {vectors} (item_id, kind, embedding) values (:version, 'memory', '[1,0]')"  # noqa: S608
    session.execute(text(vector), of_owner)
    for statement in _SECTIONS:
        session.execute(text(statement), {"type": owner.type, "owner": owner.id})
    session.execute(
        text(
            "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug) "
            "values (:id, 'save', :type, cast(:owner as uuid), 'secret')"
        ),
        of_owner,
    )
