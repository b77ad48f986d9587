"""`backfill`: starts loads of memories from rows, watches and steers them."""

from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel

from services.cli.exit_codes import FAILED, OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.cli.running import noted_when_interrupted
from services.cli.watching import line, watched
from services.domain.errors import InvalidInputError
from services.domain.memories import OwnerType, owner_of
from services.operations.backfill_runs import backfill_runs
from services.operations.backfills import Backfill, BackfillRunningError, Backfills, BackfillUnknownError
from workflows.names import load_all_memories_id
from workflows.pacing import Progress

Order = Literal["status", "pause", "resume", "cancel", "rate"]
_DONE = "owners"
_COMMANDS: Mapping[OwnerType, str] = {"user": "afterturn backfill users", "company": "afterturn backfill companies"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command's options say: how to load, or what to do with the load that runs."""

    given: Mapping[str, object]
    orders: Mapping[Order, bool]
    rate: str | None
    wait: bool

    @property
    def order(self) -> Order | None:
        given = [order for order, is_given in self.orders.items() if is_given]
        given += [] if self.rate is None else ["rate"]
        if len(given) > 1:
            raise InvalidInputError(f"--{given[1]}", f"no --{given[0]} beside it")
        return given[0] if given else None


async def load_or_steer(output: Output, owner_type: OwnerType, asked: Asked) -> int:
    if order := asked.order:
        return await steer(output, owner_type, order, asked.rate)
    return await load_all(output, owner_type, asked.given, wait=asked.wait)


async def load_one(output: Output, owner_type: OwnerType, owner_id: str, *, dry_run: bool, wait: bool) -> int:
    owner_of(owner_type, owner_id)
    async with opened("temporal") as resources:
        backfills = Backfills(resources.temporal)
        with noted_when_interrupted(output, "a load that was started goes on; `afterturn backfill list` shows it"):
            backfill_id = await _started(backfills.start_one(owner_type, owner_id, dry_run=dry_run))
            if not wait:
                return _left_running(output, backfill_id)
            return _report(output, await backfills.wait(backfill_id), dry_run=dry_run)


async def load_all(output: Output, owner_type: OwnerType, given: Mapping[str, object], *, wait: bool) -> int:
    async with opened("temporal") as resources:
        backfills = Backfills(resources.temporal)
        with noted_when_interrupted(output, f"a load that was started goes on; {_how_to(owner_type)}"):
            backfill_id = await _started(backfills.start_all(owner_type, given))
            if not wait:
                output.note(_how_to(owner_type))
                return _left_running(output, backfill_id)
            ended = await _watched(output, backfills, backfill_id)
        return _report(output, ended, dry_run=bool(given["dry_run"]))


async def steer(output: Output, owner_type: OwnerType, order: Order, rate: str | None) -> int:
    """Do as an operator says with the load that runs, and tell how it is then."""
    wanted = _rate(rate)
    backfill_id = load_all_memories_id(owner_type)
    async with opened("temporal") as resources:
        backfills = Backfills(resources.temporal)
        try:
            match order:
                case "pause":
                    await backfills.pause(backfill_id)
                case "resume":
                    await backfills.resume(backfill_id)
                case "cancel":
                    await backfills.cancel(backfill_id)
                    return _report(output, await backfills.wait(backfill_id), is_wanted=True)
                case "rate":
                    await backfills.set_rate(backfill_id, wanted)
                case "status":
                    pass
            now = await backfills.describe(backfill_id)
        except BackfillUnknownError as error:
            raise CommandFailedError(str(error)) from None
    return _report(output, now, is_wanted=True)


async def list_runs(output: Output, limit: int) -> int:
    async with opened("temporal") as resources:
        runs = await backfill_runs(resources.temporal, limit=limit)
    output.emit({"backfills": [asdict(run) for run in runs]})
    output.table(
        ("id", "state", "started", "ended", "run"),
        ((run.id, run.state, run.started_at, run.ended_at, run.run_id) for run in runs),
    )
    if not runs:
        output.note("Temporal knows of no load")
    return OK


def _rate(rate: str | None) -> float | None:
    if rate in (None, "none"):
        return None
    try:
        return float(str(rate))
    except ValueError:
        raise InvalidInputError("--rate", "owners a second, or none") from None


async def _started(start: Awaitable[str]) -> str:
    try:
        return await start
    except BackfillRunningError as error:
        raise CommandFailedError(f"{error}; end it first, or wait for it") from None


def _left_running(output: Output, backfill_id: str) -> int:
    output.emit({"id": backfill_id, "state": "started"})
    output.print(f"{backfill_id} is started")
    return OK


async def _watched(output: Output, backfills: Backfills, backfill_id: str) -> Backfill:
    async def look() -> Progress | None:
        return (await backfills.describe(backfill_id)).progress

    return await watched(output, backfills.wait(backfill_id), look, run="the load", done=_DONE)


def _report(output: Output, now: Backfill, *, dry_run: bool = False, is_wanted: bool = False) -> int:
    """Tell how a load is; it failed the command only where the command was to see it through."""
    output.emit({**asdict(now), "progress": _plain(now.progress), "result": _plain(now.result)})
    output.print(f"{now.id}: {now.state}{f' ({now.reason})' if now.reason else ''}")
    if now.progress:
        output.print(
            f"  {line(now.progress, _DONE)}, {now.progress.failed} failed, of {now.progress.total or 'unknown'}"
        )
    for name, count in (now.result.model_dump() if now.result else {}).items():
        written = dry_run and name == "total_memories_created"
        output.print(f"  {name.replace('_', ' ')}: {count}{' (none written: a dry run)' if written else ''}")
    if now.failed_ids:
        output.note(f"failed, for example: {', '.join(now.failed_ids)}; the worker's log says why")
    return OK if is_wanted or now.state == "done" else FAILED


def _plain(told: BaseModel | None) -> dict[str, object] | None:
    return told.model_dump() if told else None


def _how_to(owner_type: OwnerType) -> str:
    return f"`{_COMMANDS[owner_type]} --status` watches it, and --pause, --rate and --cancel steer it"
