"""`backfill`: memories from the rows of people and companies."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run
from services.domain.memories import OwnerType

Order = Literal["status", "pause", "resume", "cancel", "rate"]
group = typer.Typer(no_args_is_help=True, help="Memories from the rows of people and companies.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would be written, and write nothing.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until it has ended, or not at all.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, max=1_000, help="How many owners are read at once.")]
MaxPerSecond = Annotated[
    float | None, typer.Option("--max-per-second", min=0.1, max=1_000_000, help="No more owners than that.")
]
Since = Annotated[
    datetime | None, typer.Option("--since", help="Only rows that changed since then, UTC: by their updated_at.")
]
OnlyMissing = Annotated[
    bool, typer.Option("--only-missing", help="Only owners without a memory that was made from a row.")
]
Status = Annotated[bool, typer.Option("--status", help="Say how the load is, or how the last one ended.")]
Pause = Annotated[bool, typer.Option("--pause", help="Let the running load stand still.")]
Resume = Annotated[bool, typer.Option("--resume", help="Let the paused load go on.")]
Cancel = Annotated[bool, typer.Option("--cancel", help="End the running load; what it has written stands.")]
Rate = Annotated[
    str | None, typer.Option("--rate", metavar="OWNERS|none", help="Slow the running load, or let it go as it can.")
]


def register(app: typer.Typer) -> None:
    for command in (company, user, companies, users):
        group.command(epilog=EPILOG)(command)
    group.command("list", epilog=EPILOG)(list_runs)
    app.add_typer(group, name="backfill")


def company(company_id: str, dry_run: DryRun = False, wait: Wait = True, as_json: JsonFlag = False) -> None:
    """Load one company's memories from its row; again, it changes nothing.

    Example: afterturn backfill company acme
    """
    _one("company", company_id, dry_run=dry_run, wait=wait, as_json=as_json)


def user(user_id: str, dry_run: DryRun = False, wait: Wait = True, as_json: JsonFlag = False) -> None:
    """Load one person's memories from the profile's row; again, it changes nothing.

    Example: afterturn backfill user 42 --dry-run
    """
    _one("user", user_id, dry_run=dry_run, wait=wait, as_json=as_json)


def companies(  # noqa: PLR0913, PLR0917  each is an option of its own
    batch_size: BatchSize = 100,
    max_per_second: MaxPerSecond = None,
    since: Since = None,
    only_missing: OnlyMissing = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    status: Status = False,
    pause: Pause = False,
    resume: Resume = False,
    rate: Rate = None,
    cancel: Cancel = False,
    as_json: JsonFlag = False,
) -> None:
    """Load the memories of all companies, behind live chat; or steer the load that runs.

    Ctrl-C leaves it running. Example: afterturn backfill companies --max-per-second 20
    Then: afterturn backfill companies --pause
    """
    given = _given(batch_size, max_per_second, since, only_missing=only_missing, dry_run=dry_run)
    orders: dict[Order, bool] = {"status": status, "pause": pause, "resume": resume, "cancel": cancel}
    _all("company", given, orders, rate=rate, wait=wait, as_json=as_json)


def users(  # noqa: PLR0913, PLR0917  each is an option of its own
    batch_size: BatchSize = 100,
    max_per_second: MaxPerSecond = None,
    since: Since = None,
    only_missing: OnlyMissing = False,
    dry_run: DryRun = False,
    wait: Wait = True,
    status: Status = False,
    pause: Pause = False,
    resume: Resume = False,
    rate: Rate = None,
    cancel: Cancel = False,
    as_json: JsonFlag = False,
) -> None:
    """Load the memories of all people, behind live chat; or steer the load that runs.

    Ctrl-C leaves it running. Example: afterturn backfill users --since 2026-09-01
    Then: afterturn backfill users --rate 50
    """
    given = _given(batch_size, max_per_second, since, only_missing=only_missing, dry_run=dry_run)
    orders: dict[Order, bool] = {"status": status, "pause": pause, "resume": resume, "cancel": cancel}
    _all("user", given, orders, rate=rate, wait=wait, as_json=as_json)


def list_runs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many at the most.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the loads that Temporal still knows: those that run first, then the one that ended last.

    Example: afterturn backfill list --limit 5
    """
    from services.cli import backfilling

    run(lambda output: backfilling.list_runs(output, limit), as_json=as_json)


def _given(
    batch_size: int, max_per_second: float | None, since: datetime | None, *, only_missing: bool, dry_run: bool
) -> dict[str, object]:
    return {
        "batch_size": batch_size,
        "max_per_second": max_per_second,
        "since": since and (since if since.tzinfo else since.replace(tzinfo=UTC)),
        "only_missing": only_missing,
        "dry_run": dry_run,
    }


def _one(owner_type: OwnerType, owner_id: str, *, dry_run: bool, wait: bool, as_json: bool) -> None:
    from services.cli import backfilling

    run(lambda output: backfilling.load_one(output, owner_type, owner_id, dry_run=dry_run, wait=wait), as_json=as_json)


def _all(
    owner_type: OwnerType,
    given: dict[str, object],
    orders: dict[Order, bool],
    *,
    rate: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    from services.cli import backfilling

    asked = backfilling.Asked(given, orders, rate, wait)
    run(lambda output: backfilling.load_or_steer(output, owner_type, asked), as_json=as_json)
