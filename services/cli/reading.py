"""`rooms`, `messages` and `search`: what the archive holds."""

from collections.abc import Iterable
from datetime import datetime

from afterturn_client.rooms import check_room_id

from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.memories import Owner, owner_of
from services.postgres.archive.rooms import RoomState
from services.postgres.search.searching import Hit

_LINE = 160


async def rooms(output: Output, *, limit: int) -> int:
    async with opened("postgres") as resources:
        states = await resources.rooms.list_rooms(limit=limit)
    output.emit({"rooms": [_room(state) for state in states]})
    output.table(
        ("room", "messages", "digested", "undigested", "quarantined", "last archived"),
        ((s.room_id, s.messages, s.digested, s.undigested, s.quarantined, s.last_archived_at) for s in states),
    )
    if not states:
        output.note("no room has an archived message yet")
    return OK


async def messages(output: Output, room_id: str, *, after: int, limit: int) -> int:
    check_room_id(room_id)
    async with opened("postgres") as resources:
        if not await resources.rooms.list_rooms(room_id=room_id):
            raise CommandFailedError(f"{room_id} has no archived message")
        found = await resources.rooms.messages(room_id, after=after, limit=limit)
        receipts = await resources.rooms.receipts(room_id, [message.id for message in found])
    of = {receipt.message_id: receipt for receipt in receipts}
    output.emit(
        {
            "room_id": room_id,
            "messages": [
                {
                    "seq": message.seq,
                    "id": message.id,
                    "role": message.role,
                    "user_id": message.user_id,
                    "content": message.content,
                    "tool_calls": list(message.tool_calls),
                    "sent_at": message.sent_at,
                    "remember": message.remember,
                    "state": of[message.id].state,
                    "run_id": of[message.id].run_id,
                }
                for message in found
            ],
        }
    )
    output.table(
        ("seq", "sent", "state", "speaker", "content"),
        (
            (message.seq, message.sent_at, of[message.id].state, message.speaker, message.content or _calls(message))
            for message in found
        ),
    )
    return OK


def _calls(message: object) -> str:
    calls = getattr(message, "tool_calls", ())
    return f"({len(calls)} tool calls)" if calls else ""


def owner_from(user_id: str | None, company_id: str | None) -> Owner | None:
    """Name whose rooms and memories are searched; None is everybody's."""
    if user_id is not None:
        return owner_of("user", user_id)
    return owner_of("company", company_id) if company_id is not None else None


async def search(
    output: Output,
    query: str,
    *,
    room_id: str | None,
    owner: Owner | None,
    kinds: Iterable[str],
    as_of: datetime | None,
    limit: int,
) -> int:
    if room_id is not None:
        check_room_id(room_id)
    async with opened("postgres") as resources:
        found = await resources.searching.find(
            query, room_id=room_id, owner=owner, kinds=kinds, as_of=as_of, limit=limit
        )
    if not found.by_meaning:
        output.note("the embedding model does not answer: this was searched by words alone")
    output.emit({"query": query, "by_meaning": found.by_meaning, "hits": found.hits})
    show_hits(output, found.hits)
    if not found.hits:
        output.note("nothing was found")
    return OK


def show_hits(output: Output, hits: list[Hit]) -> None:
    output.table(
        ("score", "where", "seq", "who", "text"),
        ((f"{hit.score:.2f}", hit.slug or hit.room_id, hit.seq, _who(hit), _short(hit.text)) for hit in hits),
    )


def _who(hit: Hit) -> str:
    return hit.role if hit.kind == "message" else f"{hit.kind} ({hit.made_by})"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def _room(state: RoomState) -> dict[str, object]:
    return {
        "room_id": state.room_id,
        "messages": state.messages,
        "digested": state.digested,
        "undigested": state.undigested,
        "quarantined": state.quarantined,
        "last_archived_at": state.last_archived_at,
    }
