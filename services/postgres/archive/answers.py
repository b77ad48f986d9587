"""Writes model answers down before they are used."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import TransientError
from services.domain.memories import Owner, brain_id
from services.postgres.archive.chunks import CHUNK_GONE
from services.postgres.database import Database
from services.postgres.tables.archive import ModelAnswerRow
from services.postgres.tables.memories import MemoryVersionRow

# A chunk that is being forgotten is waited for; of one that is gone nothing is written.
_RECORD = text("""
insert into model_answers
    (chunk_id, step, prompt_version, model, answer, shown, prompt_tokens, completion_tokens, run_id)
select id, :step, :prompt_version, :model, :answer, :shown, :prompt_tokens, :completion_tokens, :run_id
from chunks where id = :chunk_id for key share
on conflict do nothing
""").bindparams(bindparam("shown", type_=JSONB))


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What an answer was given to. The same key is never asked about twice."""

    chunk_id: UUID
    step: str
    prompt_version: str
    model: str


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer with what the model was shown besides the chunk, frozen when it was asked."""

    text: str
    shown: dict[str, Any]


Recorded = Mapping[AnswerKey, RecordedAnswer]


class Answers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, chunk_id: UUID, step: str) -> tuple[AnswerKey, RecordedAnswer] | None:
        """Give the last answer to a step, whichever prompt and model it is of: a deploy may have changed both."""
        given = (ModelAnswerRow.chunk_id == chunk_id, ModelAnswerRow.step == step)
        newest = select(ModelAnswerRow).where(*given).order_by(ModelAnswerRow.created_at.desc()).limit(1)
        async with self._database.transaction() as session:
            row = await session.scalar(newest)
        if row is None:
            return None
        return AnswerKey(row.chunk_id, row.step, row.prompt_version, row.model), RecordedAnswer(row.answer, row.shown)

    async def record(
        self, key: AnswerKey, answer: RecordedAnswer, *, prompt_tokens: int, completion_tokens: int, run_id: str
    ) -> Recorded:
        """Record an answer, unless one was recorded already: two were asked for at once. Give all that stand."""
        given = {
            **asdict(key),
            "answer": answer.text,
            "shown": answer.shown,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "run_id": run_id,
        }
        async with self._database.transaction() as session:
            await _hold_memories(session, answer.shown)
            await session.execute(_RECORD, given)
            answers = await recorded(session, key.chunk_id)
        if key not in answers:
            raise TransientError(CHUNK_GONE)
        return answers


async def recorded(session: AsyncSession, chunk_id: UUID) -> Recorded:
    """Give every answer to a chunk."""
    row = ModelAnswerRow
    wanted = select(row.step, row.prompt_version, row.model, row.answer, row.shown).where(row.chunk_id == chunk_id)
    return {
        AnswerKey(chunk_id, step, version, model): RecordedAnswer(answer, shown)
        for step, version, model, answer, shown in await session.execute(wanted)
    }


async def _hold_memories(session: AsyncSession, shown: Mapping[str, Any]) -> None:
    """Keep the memories that the model was shown from being forgotten until the transaction ends.

    Raises `TransientError` where one is: the answer may repeat it, and is asked for again.
    """
    known = {
        (brain_id(Owner(one["owner"]["type"], UUID(one["owner"]["id"])), one["slug"]), one["content"])
        for one in shown.get("known", ())
    }
    if not known:
        return
    row = MemoryVersionRow
    asked = tuple_(row.brain_id, row.content).in_(sorted(known))
    held = select(row.brain_id, row.content).where(asked).order_by(row.id).with_for_update(key_share=True, read=True)
    standing = {tuple(found) for found in await session.execute(held)}
    if known - standing:
        raise TransientError("a memory that the model was shown was forgotten")
