"""Writes model answers down before they are used."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from services.postgres.database import Database
from services.postgres.tables import ModelAnswerRow


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


class Answers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: AnswerKey) -> RecordedAnswer | None:
        async with self._database.transaction() as session:
            row = await session.get(ModelAnswerRow, (key.chunk_id, key.step, key.prompt_version, key.model))
        return RecordedAnswer(row.answer, row.shown) if row else None

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
    ) -> RecordedAnswer:
        """Record an answer; answer the one that stands, which is an earlier one if two were asked for at once."""
        async with self._database.transaction() as session:
            await session.execute(
                insert(ModelAnswerRow)
                .values(
                    chunk_id=key.chunk_id,
                    step=key.step,
                    prompt_version=key.prompt_version,
                    model=key.model,
                    answer=answer.text,
                    shown=answer.shown,
                    prompt_tokens=prompt_tokens,
                    completion_tokens=completion_tokens,
                    run_id=run_id,
                )
                .on_conflict_do_nothing()
            )
            row = (
                await session.execute(
                    select(ModelAnswerRow.answer, ModelAnswerRow.shown).where(
                        ModelAnswerRow.chunk_id == key.chunk_id,
                        ModelAnswerRow.step == key.step,
                        ModelAnswerRow.prompt_version == key.prompt_version,
                        ModelAnswerRow.model == key.model,
                    )
                )
            ).one()
        return RecordedAnswer(row.answer, row.shown)
