"""`quarantine` and `redrive`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from afterturn_client.rooms import check_room_id

from services.cli.exit_codes import FAILED, OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.operations.redriving import Redriven, Redriving
from services.postgres.archive.quarantine import Quarantined
from services.resources import Resources


async def list_open(output: Output, *, room_id: str | None, limit: int) -> int:
    if room_id is not None:
        check_room_id(room_id)
    async with opened("postgres") as resources:
        items = await resources.quarantine.list_open(room_id=room_id, limit=limit)
    output.emit({"quarantine": [_facts(item) for item in items]})
    output.table(
        ("id", "kind", "room", "reason", "detail", "tries", "since"),
        ((i.id, i.kind, i.room_id, i.reason, i.detail, i.tries, i.created_at) for i in items),
    )
    if not items:
        output.note("nothing is in quarantine")
    return OK


async def show(output: Output, item_id: UUID) -> int:
    """The entry itself is shown too: who asks for it by id wants to see what is wrong with it."""
    async with opened("postgres") as resources:
        item = await resources.quarantine.get(item_id)
    if item is None:
        raise CommandFailedError(f"nothing in quarantine has the id {item_id}")
    facts = _facts(item) | {"raw": None if item.raw is None else item.raw.decode(errors="backslashreplace")}
    output.emit(facts)
    output.table(("", ""), ((name, value) for name, value in facts.items() if value is not None))
    return OK


async def redrive(output: Output, item_ids: Sequence[UUID], *, everything: bool, room_id: str | None) -> int:
    """Answer 0 when all of it left quarantine."""
    if room_id is not None:
        check_room_id(room_id)
    async with opened("postgres") as resources:
        ids = await resources.quarantine.open_ids() if everything else list(dict.fromkeys(item_ids))
        results = await _redrive_each(output, resources, ids, room_id)
    output.emit({"redriven": [asdict(result) | {"left_quarantine": result.left_quarantine} for result in results]})
    output.table(("id", "outcome", "room", "why"), ((r.id, _WORDS[r.outcome], r.room_id, r.detail) for r in results))
    counts = Counter(result.left_quarantine for result in results)
    output.note(f"{counts[True]} left quarantine, {counts[False]} did not")
    return FAILED if counts[False] else OK


_WORDS = {
    "archived": "archived at the room's end",
    "repeated": "was archived already",
    "put_back": "waits to be digested",
    "still_bad": "still cannot be read",
    "needs_room": "needs --room",
    "redriven_before": "was redriven before",
    "unknown": "not found",
}


async def _redrive_each(
    output: Output, resources: Resources, ids: Sequence[UUID], room_id: str | None
) -> list[Redriven]:
    redriving = Redriving(resources.quarantine, resources.archive, resources.temporal)
    with output.progress() as progress:
        tracked = progress.track(ids, description="redriving")
        results = [await redriving.redrive(item_id, room_id=room_id) for item_id in tracked]
    rooms = dict.fromkeys(r.room_id for r in results if r.outcome in ("archived", "put_back") and r.room_id)
    woken = [await redriving.wake(room) for room in rooms]
    if not all(woken):
        output.note("Temporal was not reached: the next sweep digests these rooms once it is back")
    return results


def _facts(item: Quarantined) -> dict[str, object]:
    facts = asdict(item)
    facts.pop("raw")
    return facts
