"""Rows of a certain age, put in by SQL: a room with chunks, answers and quarantine."""

from uuid import UUID, uuid4

from sqlalchemy import text

from services.domain.memories import Owner
from services.postgres.database import Database

_ROOM = """
insert into rooms (id, user_id, owner_type, owner_id, last_seq, chunked_seq)
values (:room, :name, :type, :owner, 4, 4) on conflict do nothing
"""
_CHUNK = """
insert into chunks (id, room_id, first_seq, last_seq, tokens, state, created_at, digested_at)
values (:id, :room, :seq, :seq, 10, :state, now() - make_interval(days => :days),
        case :state when 'digested' then now() - make_interval(days => :days) end)
"""
_ANSWER = """
insert into model_answers
    (chunk_id, step, prompt_version, model, answer, shown, prompt_tokens, completion_tokens, run_id, created_at)
values (:id, 'summarise', 'v1', :model, 'secret', '{}', :prompt, :completion, 'run',
        now() - make_interval(days => :days))
"""
_HELD = """
insert into quarantine (id, kind, room_id, source, position, reason, detail, state, run_id, created_at, redriven_at)
values (:id, 'entry', :room, :source, 0, :reason, 'no JSON', :state, 'run', now() - make_interval(days => :days),
        case :state when 'redriven' then now() - make_interval(days => :days) end)
"""


class OldRows:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._seq = 0

    async def room(self, room: str, owner: Owner) -> None:
        await self._run(_ROOM, room=room, name=owner.external_id, type=owner.type, owner=owner.id)

    async def chunk(self, room: str, state: str, *, days: int) -> UUID:
        self._seq += 1
        id_ = uuid4()
        await self._run(_CHUNK, id=id_, room=room, seq=self._seq, state=state, days=days)
        return id_

    async def answered(
        self, room: str, state: str, *, days: int, model: str = "chat", prompt: int = 100, completion: int = 10
    ) -> UUID:
        """A chunk in this state, with a model's answer."""
        id_ = await self.chunk(room, state, days=days)
        await self._run(_ANSWER, id=id_, model=model, prompt=prompt, completion=completion, days=days)
        return id_

    async def held(self, state: str, *, days: int, room: str | None = None, reason: str = "bad_json") -> UUID:
        id_ = uuid4()
        await self._run(_HELD, id=id_, room=room, source=str(id_), reason=reason, state=state, days=days)
        return id_

    async def ids(self, table: str, column: str = "id") -> set[UUID]:
        async with self._database.transaction() as session:
            return set(await session.scalars(text(f"select {column} from {table}")))  # noqa: S608

    async def _run(self, statement: str, **values: object) -> None:
        async with self._database.transaction() as session:
            await session.execute(text(statement), values)
