"""What search answers is what its formula says, on random rooms and memories, however many others there are."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.domain.ids import message_uid
from services.domain.memories import KINDS, NewMemory, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.domain.named_times import Span
from services.domain.questions import Question
from services.postgres.archive.writing import Archive
from services.postgres.database import Database, Tenant
from services.postgres.memories.writing import know_owner, record
from services.postgres.search.searching import Search
from services.postgres.vectors.tables import Embeddings, Item
from tests.support import many_memories
from tests.support.search_reference import Document, score_all

MODEL = "toy"
DIMENSIONS = 6
WORDS = [f"word{number}" for number in range(25)]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=40)
ANDREA = owner_of("user", "andrea")
SPEAKERS = ("andrea", "bruno", None)
SPAN: Span = (NOON + timedelta(days=3), NOON + timedelta(days=6))


@dataclass
class World:
    """What was put into the database, as the reference sees it."""

    random: Random
    documents: list[Document] = field(default_factory=list)
    vectors: dict[Item, list[float]] = field(default_factory=dict)

    def words(self) -> tuple[str, ...]:
        """Some say the name of one who speaks."""
        names = ("bruno",) if self.random.random() < 0.2 else ()
        return (*self.random.choices(WORDS, k=self.random.randint(1, 12)), *names)

    def vector(self, item: Item) -> tuple[float, ...] | None:
        if self.random.random() < 0.2:
            return None
        self.vectors[item] = [self.random.gauss() for _ in range(DIMENSIONS)]
        return tuple(self.vectors[item])

    async def room(self, database: Database, room_id: str, messages: int) -> None:
        entries = []
        for seq in range(1, messages + 1):
            words, speaker = self.words(), self.random.choice(SPEAKERS)
            at = NOON + timedelta(hours=self.random.randint(0, 24 * 30))
            entries.append(
                ClaimedEntry(seq, b"", NewMessage(f"{room_id} {seq}", "user", " ".join(words), speaker, None, at))
            )
            item = Item(message_uid(room_id, f"{room_id} {seq}"), "message", room_id)
            self.documents.append(
                Document(
                    f"{room_id} {seq}",
                    "message",
                    room_id,
                    seq,
                    words,
                    self.vector(item),
                    at,
                    is_named=speaker == "bruno",
                    is_timed=SPAN[0] <= at < SPAN[1],
                )
            )
        await Archive(database).add(room_id, "claim", entries, run_id="run")
        await self.summary(database, room_id, self.random.randint(1, messages))

    async def summary(self, database: Database, room_id: str, covers_to: int) -> None:
        words, key = (*self.words(), *self.words()), uuid4()
        last = next(one for one in self.documents if one.place == room_id and one.seq == covers_to)
        async with database.transaction() as session:
            await session.execute(_CHUNK, {"id": key, "room_id": room_id, "last": covers_to})
            await session.execute(_SUMMARY, {"id": key, "room_id": room_id, "last": covers_to, "text": " ".join(words)})
        self.documents.append(
            Document(
                str(key),
                "summary",
                str(key),
                0,
                words,
                self.vector(Item(key, "summary", room_id)),
                last.happened_at,
                is_named="bruno" in words,
                is_timed=last.is_timed,
            )
        )

    async def memory(self, database: Database, slug: str) -> None:
        words, kind = self.words(), self.random.choice(KINDS)
        at = NOON + timedelta(hours=self.random.randint(0, 24 * 30))
        async with database.transaction() as session:
            placed = await session.run_sync(
                lambda sync: (
                    know_owner(sync, ANDREA),
                    record(sync, ANDREA, NewMemory(slug, " ".join(words), at, kind), memory_id=slug),
                )[1]
            )
        version = str(placed.version_id)
        self.documents.append(
            Document(
                version,
                kind,
                version,
                0,
                words,
                self.vector(Item(placed.version_id, "memory")),
                at,
                is_named="bruno" in words,
                is_timed=SPAN[0] <= at < SPAN[1],
            )
        )


_CHUNK = text("insert into chunks (id, room_id, first_seq, last_seq, tokens) values (:id, :room_id, 1, :last, 10)")
_SUMMARY = text(
    "insert into summaries (id, room_id, chunk_id, kind, covers_from, covers_to, text, made_by, prompt_version, model, "
    "language, run_id) values (:id, :room_id, :id, 'chunk', 1, :last, :text, 'model', 'v', 'm', 'simple', 'run')"
)


async def make_world(database: Database, seed: int) -> World:
    world = World(Random(seed))
    for room_id in ("user:andrea", "room:walks"):
        await world.room(database, room_id, world.random.randint(3, 40))
    for number in range(world.random.randint(1, 30)):
        await world.memory(database, f"fact-{number}")
    if world.vectors:
        await Embeddings(database, MODEL).save(world.vectors)
    return world


@pytest.mark.parametrize("seed", range(8))
async def test_every_score_is_what_the_formula_says(database_url: str, seed: int) -> None:
    async with Database.open(database_url) as database:
        world = await make_world(database, seed)
        for _ in range(4):
            words = world.random.sample(WORDS, world.random.randint(0, 5))
            vector = [world.random.gauss() for _ in range(DIMENSIONS)] if world.random.random() < 0.8 else None
            question = Question(" ".join(words), ("bruno",), (SPAN,))
            hits = await Search(database, MODEL).find(question, vector, as_of=NOW, limit=1_000)
            wanted = score_all(world.documents, words, vector, NOW)
            assert {hit.id: hit.score for hit in hits} == pytest.approx(wanted, abs=1e-5)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_an_owner_finds_among_a_hundred_thousand_memories_of_others_what_an_exact_scan_finds(
    database_url: str,
) -> None:
    random = Random(1)
    await many_memories.fill(database_url, MODEL, owners=201, each=500, dimensions=16, vectors=5_000)
    async with Database.open(database_url) as database, many_memories.plainly(database_url) as plain:
        search, found, others = Search(database, MODEL), 0, 0
        for tenant, owner in ((Tenant.of(many_memories.SOMEBODY), None), (None, many_memories.SOMEBODY)):
            for _ in range(5):
                vector = [random.gauss() for _ in range(16)]
                wanted = await plain.nearest(many_memories.SOMEBODY.id, vector, 20)
                hits = await search.find("", vector, tenant=tenant, owner=owner, limit=20)
                found += len({hit.slug for hit in hits}.intersection(wanted))
                others += sum(hit.owner != many_memories.SOMEBODY for hit in hits)
    assert others == 0
    assert found / 200 >= 0.98
