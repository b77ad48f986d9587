"""Reads archived messages in their room's order."""

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.messages import ArchivedMessage
from services.postgres.tables.archive import ArchivedRow


async def read_messages(
    session: AsyncSession,
    room_id: str,
    *,
    after: int = 0,
    until: int | None = None,
    limit: int | None = None,
    characters: int | None = None,
) -> list[ArchivedMessage]:
    """Read a room's messages in order: those numbered above `after`, up to and with `until`.

    `characters` cuts their content short.
    """
    wanted: ColumnElement[bool] = and_(ArchivedRow.room_id == room_id, ArchivedRow.seq > after)
    if until is not None:
        wanted = and_(wanted, ArchivedRow.seq <= until)
    rows = await session.execute(
        select(
            ArchivedRow.room_id,
            ArchivedRow.seq,
            ArchivedRow.id,
            ArchivedRow.role,
            (func.left(ArchivedRow.content, characters) if characters else ArchivedRow.content).label("content"),
            ArchivedRow.user_id,
            ArchivedRow.sent_at,
            ArchivedRow.tool_calls,
            ArchivedRow.remember,
        )
        .where(wanted)
        .order_by(ArchivedRow.seq)
        .limit(limit)
    )
    return [archived_message(row) for row in rows]


def archived_message(row: ArchivedRow | Row[Any]) -> ArchivedMessage:
    return ArchivedMessage(
        room_id=row.room_id,
        seq=row.seq,
        id=row.id,
        role=row.role,
        content=row.content,
        user_id=row.user_id,
        sent_at=row.sent_at,
        tool_calls=tuple(row.tool_calls),
        remember=row.remember,
    )
