"""What a digest reads and writes at once between two questions to a model; no transaction is held while one answers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from services.domain.extraction.known import KnownMemory
from services.domain.extraction.owners import Rights
from services.domain.extraction.showing import usable
from services.domain.ids import message_uid, summary_id
from services.domain.memories import Owner
from services.domain.messages import ArchivedMessage
from services.postgres.archive import summaries
from services.postgres.archive.answers import Recorded, recorded
from services.postgres.archive.chunks import Chunks, WaitingChunk
from services.postgres.archive.summaries import Kind, SoFar, Summary, so_far
from services.postgres.database import Database
from services.postgres.memories.known_memories import nearest, rights_in
from services.postgres.vectors.tables import Item
from services.postgres.vectors.written import Unembedded, Vectors, WrittenVectors


@dataclass(frozen=True, slots=True)
class Taken:
    """A chunk to digest, and what of it has to be embedded first; nothing where only its memories are left to save."""

    chunk: WaitingChunk
    unembedded: Unembedded


@dataclass(frozen=True, slots=True)
class Known:
    """What a digest goes on from: what was answered to the chunk before, and what stands beside it."""

    answers: Recorded
    so_far: SoFar
    rights: Rights
    memories: Sequence[KnownMemory]

    @property
    def is_first(self) -> bool:
        """Whether no model has answered to the chunk yet, so that nothing that follows from an answer is written."""
        return not self.answers


class Digests:
    def __init__(self, database: Database, chunks: Chunks, vectors: WrittenVectors) -> None:
        self._database = database
        self._chunks = chunks
        self._vectors = vectors

    async def take(self, room_id: str) -> Taken | None:
        """Give the room's next chunk, cutting what is new first; None where nothing is left."""
        async with self._database.transaction() as session:
            chunk = await self._chunks.next_in(session, room_id)
            if chunk is None:
                return None
            return Taken(chunk, await self._vectors.missing_in(session, _items(chunk)))

    async def begin(
        self, chunk: WaitingChunk, items: Sequence[Item], made: Mapping[str, Vectors], people: Collection[Owner]
    ) -> Known | Unembedded:
        """Keep the messages' vectors, and give what is known; or say what must be embedded first, and keep nothing.

        Of `people` and their company the memories are looked for: those nearest to the chunk's messages.
        """
        async with self._database.transaction() as session:
            written = await self._vectors.hold(session)
            unembedded = await self._vectors.save_in(session, written, items, made)
            if unembedded:
                return unembedded
            answers = await recorded(session, chunk.id)
            rolled = await so_far(session, chunk.room_id, besides=chunk.id)
            rights = await rights_in(session, chunk.room_id, people) if people else Rights()
            owners = [*people, *([rights.company] if rights.company else [])]
            uids = [message_uid(chunk.room_id, message.id) for message in usable(chunk.messages)]
            return Known(answers, rolled, rights, await nearest(session, written.current, owners, uids))

    async def keep(
        self, chunk: WaitingChunk, made: Mapping[Kind, Summary], vectors: Mapping[str, Vectors], *, run_id: str
    ) -> Unembedded | None:
        """Keep the summaries that were made, and the vector of the chunk's; or say what must be embedded for that."""
        part = made["chunk"]
        items = [summary_item(chunk, part)] if part.text.strip() else []
        async with self._database.transaction() as session:
            written = await self._vectors.hold(session)
            await summaries.keep(session, chunk.room_id, chunk.id, made, run_id=run_id)
            return await self._vectors.save_in(session, written, items, vectors)


def summary_item(chunk: WaitingChunk, part: Summary) -> Item:
    return Item(summary_id(chunk.id, "chunk", part.prompt_version, part.model), "summary", chunk.room_id)


def message_item(message: ArchivedMessage) -> Item:
    return Item(message_uid(message.room_id, message.id), "message", message.room_id)


def _items(chunk: WaitingChunk) -> list[Item]:
    return [] if chunk.extracted else [message_item(message) for message in chunk.messages if message.remember]
