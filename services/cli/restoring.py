"""`restored`: brings what was restored to different moments to agree."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from services.cli.exit_codes import OK
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.errors import InvalidInputError
from services.domain.memories import OwnerType
from services.operations.restoring import Asked, Reconciled, Restoring, ToForget

_COUNTS = {
    "archived_entries": "entries that wait in Redis and stand in the archive already were taken out",
    "forgotten_entries": "entries of people and companies who were forgotten were taken out",
    "temporary_values": "temporary values were dropped",
    "cache_epochs": "parts of the cache begin anew",
    "rooms_numbered_ahead": "rooms go on with numbers that nobody has seen",
}
_LISTS = {
    "forgetting": "is forgotten again when a worker runs",
    "unfinished": "was being forgotten, and nobody knows whether that ended: `afterturn forget` again",
    "ended": "was ended: start it again",
    "look_at": "was done after the restored moment: what it wrote may be gone, so start it again",
    "started": "begins when a worker runs",
}


async def restored(output: Output, asked: Asked) -> int:
    async with opened("postgres", "redis", "temporal") as resources:
        done = await Restoring(resources).reconcile(asked)
    output.emit(asdict(done))
    _show(output, done)
    return OK


def read_time(given: str | None) -> datetime | None:
    """Read seconds since 1970, as Redis' TIME gives them, or ISO 8601."""
    if given is None:
        return None
    try:
        at = datetime.fromtimestamp(int(given), UTC) if given.isdecimal() else datetime.fromisoformat(given)
    except (ValueError, OverflowError, OSError):
        raise InvalidInputError("--redis-copied-at", "seconds since 1970, or a time as 2026-03-02T12:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read_forgotten(file: Path | None) -> list[ToForget]:
    """Read what `afterturn forget list --json` wrote."""
    if file is None:
        return []
    try:
        listed = json.loads(file.read_text())["forgettings"]
        return [ToForget(str(one["run_id"]), _kind(one["owner_type"]), str(one["owner_id"])) for one in listed]
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInputError("--forgotten", "a file that `afterturn forget list --json` wrote") from None


def _show(output: Output, done: Reconciled) -> None:
    said = asdict(done)
    for name, text in _COUNTS.items():
        if said[name]:
            output.print(f"{said[name]} {text}")
    for name, text in _LISTS.items():
        for one in said[name]:
            output.print(f"{one} {text}")
    if done.mem0_orphans and done.mem0_orphans_dropped:
        output.print(f"{done.mem0_orphans} memories of unknown owners were deleted in Mem0")
    elif done.mem0_orphans:
        output.print(
            f"{done.mem0_orphans} memories in Mem0 are of owners unknown here: delete them with --drop-orphans, "
            "unless another installation uses this Mem0 account"
        )


def _kind(given: object) -> OwnerType:
    if given == "company":
        return "company"
    if given == "user":
        return "user"
    raise ValueError
