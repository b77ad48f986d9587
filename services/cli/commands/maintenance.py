"""`stats`, `retention` and `maintenance`: what there is, how long it is kept, and what was merged."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag, Limit
from services.cli.running import run

retention = typer.Typer(no_args_is_help=True, help="How long is kept what is done with.")
maintenance = typer.Typer(no_args_is_help=True, help="What maintenance did, and how to undo it.")

User = Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this person.")]
Company = Annotated[str | None, typer.Option("--company", metavar="ID", help="Of this company.")]


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(stats)
    retention.command("set", epilog=EPILOG)(retention_set)
    retention.command("list", epilog=EPILOG)(retention_list)
    app.add_typer(retention, name="retention")
    maintenance.command("merges", epilog=EPILOG)(maintenance_merges)
    maintenance.command("undo", epilog=EPILOG)(maintenance_undo)
    app.add_typer(maintenance, name="maintenance")


def stats(
    again: Annotated[bool, typer.Option("--again", help="Count anew, though the day was counted.")] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=3_650, help="How many days of growth to show.")] = 30,
    plots: Annotated[Path | None, typer.Option("--plots", metavar="FOLDER", help="Write plots there, as PNG.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show growth, costs, slow rooms, hit rates and what to look at: of today, counted now where nobody has.

    Example: afterturn stats --plots plots
    """
    from services.cli import statistics

    run(lambda output: statistics.show(output, again=again, days=days, plots=plots), as_json=as_json)


def retention_set(
    table: Annotated[str, typer.Argument(help="quarantine, model_answers, command_history or messages")],
    days: Annotated[str, typer.Argument(help="How many days, 0 for ever, or `default` to take it back.")],
    user: User = None,
    company: Company = None,
    as_json: JsonFlag = False,
) -> None:
    """Say for how long a tenant's rows of a table are kept, instead of what the settings say.

    Example: afterturn retention set model_answers 14 --company acme
    """
    from services.cli import upkeep

    run(
        lambda output: upkeep.set_retention(output, table, days, user_id=user, company_id=company),
        as_json=as_json,
    )


def retention_list(as_json: JsonFlag = False) -> None:
    """List for how many days each table's rows are kept, and what tenants have of their own.

    Example: afterturn retention list
    """
    from services.cli import upkeep

    run(upkeep.list_retention, as_json=as_json)


def maintenance_merges(
    user: User = None, company: Company = None, limit: Limit = 100, as_json: JsonFlag = False
) -> None:
    """List the memories that were merged because they say the same, the newest first.

    Example: afterturn maintenance merges --user 42
    """
    from services.cli import upkeep

    run(lambda output: upkeep.merges(output, user_id=user, company_id=company, limit=limit), as_json=as_json)


def maintenance_undo(merge_id: Annotated[UUID, typer.Argument(metavar="ID")], as_json: JsonFlag = False) -> None:
    """Let a memory that was merged into another one stand again; the two are not merged again.

    Example: afterturn maintenance undo 3f8b2c1e-5d7a-5c11-9d52-0c8f4e6a7b21
    """
    from services.cli import upkeep

    run(lambda output: upkeep.undo(output, merge_id), as_json=as_json)
