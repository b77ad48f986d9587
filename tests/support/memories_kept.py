"""What stands in the brain and in the open-source Mem0, read past both."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.domain.memories import Owner
from services.postgres.database import Database

MODEL = "embedding-model"


@dataclass(frozen=True)
class Kept:
    """By id: what each brain record says, and what Mem0 holds; `intents` are deletions left to do."""

    brain: dict[UUID, str]
    memory_ids: dict[UUID, str]
    mem0: dict[UUID, dict[str, Any]]
    intents: set[UUID]

    @property
    def texts(self) -> dict[UUID, str]:
        return {id_: payload.get("data", "") for id_, payload in self.mem0.items()}

    def agrees(self) -> bool:
        linked = all(memory_id == str(id_) for id_, memory_id in self.memory_ids.items())
        return linked and self.texts == self.brain and not self.intents


async def kept(database: Database) -> Kept:
    async with database.transaction() as session:
        place = await session.scalar(text("select memory_table from embedding_models where role = 'current'"))
        both = (
            "select id, content, memory_id from user_brain union all select id, content, memory_id from company_brain"
        )
        rows = (await session.execute(text(both))).all()
        held = (await session.execute(text(f"select id, payload from {place}"))).all() if place else []  # noqa: S608
        intents = await session.scalars(text("select brain_id from mem0_intents where action = 'delete'"))
        return Kept(
            {row.id: row.content for row in rows},
            {row.id: row.memory_id for row in rows},
            {row.id: row.payload for row in held},
            set(intents),
        )


async def run_sql(database: Database, statement: str, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement), values)


async def mem0_place(database: Database) -> str:
    async with database.transaction() as session:
        place = await session.scalar(text("select memory_table from embedding_models where role = 'current'"))
    return str(place)


async def forget_owner(database: Database, owner: Owner) -> None:
    """Delete the owner's own row, as a host does: the brain records go with it."""
    table = "profiles" if owner.type == "user" else "companies"
    await run_sql(database, f"delete from {table} where id = :id", id=owner.id)  # noqa: S608
