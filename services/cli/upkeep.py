"""What the `retention` and `maintenance` commands do."""

from typing import Any
from uuid import UUID

from services.cli.exit_codes import OK, CommandFailedError
from services.cli.memories import owner_from
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.errors import InvalidInputError
from services.memories.merging import Merging
from services.postgres.memories.merges import Merge, Merges
from services.postgres.upkeep.retention import Retentions
from services.settings import RetentionSettings, load

_DEFAULT = "default"


async def set_retention(output: Output, table: str, days: str, *, user_id: str | None, company_id: str | None) -> int:
    owner = owner_from(user_id, company_id)
    if days != _DEFAULT and not days.isdecimal():
        raise InvalidInputError("days", f"a number, 0 for ever, or `{_DEFAULT}`")
    wanted = None if days == _DEFAULT else int(days)
    async with opened("postgres") as resources:
        await Retentions(resources.database).set(owner, table, wanted)
    output.emit({"owner": str(owner), "table": table, "days": wanted})
    output.print(f"{table} of {owner}: {_days(wanted)}")
    return OK


async def list_retention(output: Output) -> int:
    defaults = load(RetentionSettings).days
    async with opened("postgres") as resources:
        own = await Retentions(resources.database).list_all()
    tenants = [{"owner": str(one.owner), "table": one.table, "days": one.days} for one in own]
    output.emit({"defaults": defaults, "tenants": tenants})
    output.table(("table", "kept for"), ((table, _days(days)) for table, days in defaults.items()))
    if own:
        output.title("Of their own")
        output.table(("owner", "table", "kept for"), ((one.owner, one.table, _days(one.days)) for one in own))
    return OK


async def merges(output: Output, *, user_id: str | None, company_id: str | None, limit: int) -> int:
    owner = None if user_id is None and company_id is None else owner_from(user_id, company_id)
    async with opened("postgres") as resources:
        found = await Merges(resources.database).recent(owner=owner, limit=limit)
    rows = [_merge(merge) for merge in found]
    output.emit({"merges": rows})
    output.table(
        ("id", "owner", "kept", "ended", "why", "state", "planned"),
        ([row[name] for name in ("id", "owner", "kept", "ended", "reason", "state", "planned_at")] for row in rows),
    )
    if not found:
        output.note("nothing was merged yet")
    return OK


async def undo(output: Output, merge_id: UUID) -> int:
    async with opened("postgres") as resources:
        if not resources.memories.is_configured:
            raise CommandFailedError("memories are not kept: Mem0 is not configured (MEM0_BACKEND or MEM0_API_KEY)")
        undone = await Merging(resources.memories, Merges(resources.database)).undo(merge_id)
    if undone is None:
        raise CommandFailedError(f"no merge {merge_id} is done: `afterturn maintenance merges` lists them")
    merge = undone.merge
    output.emit({"id": str(merge.id), "owner": str(merge.owner), "slug": merge.ended_slug, "outcome": undone.outcome})
    said = "stands again" if undone.outcome == "restored" else "was changed since, and is left as it is"
    output.print(f"{merge.ended_slug} of {merge.owner} {said}")
    return OK


def _merge(merge: Merge) -> dict[str, Any]:
    state = "undone" if merge.undone_at else "done" if merge.done_at else "under way"
    return {
        "id": str(merge.id),
        "owner": str(merge.owner),
        "kept": merge.kept_slug,
        "ended": merge.ended_slug,
        "reason": merge.reason,
        "similarity": merge.similarity,
        "state": state,
        "run_id": merge.run_id,
        "planned_at": merge.planned_at,
        "done_at": merge.done_at,
        "undone_at": merge.undone_at,
    }


def _days(days: int | None) -> str:
    if days is None:
        return "as the settings say"
    return f"{days} days" if days else "for ever"
