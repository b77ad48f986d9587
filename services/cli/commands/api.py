"""`api`, `context` and `keys`."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag, Limit, UserOption
from services.cli.running import run

group = typer.Typer(no_args_is_help=True, help="The API keys of services that call the memory API.")


class ScopeName(StrEnum):
    ingest = "ingest"
    read = "read"
    write = "write"
    admin = "admin"


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(api)
    app.command(epilog=EPILOG)(context)
    for name, command in (("create", create), ("list", list_), ("revoke", revoke)):
        group.command(name, epilog=EPILOG)(command)
    app.add_typer(group, name="keys")


def api(as_json: JsonFlag = False) -> None:
    """Run the memory API until Ctrl-C, on MEMORY_API_HOST and MEMORY_API_PORT; its docs are under /docs.

    Without an API key and without MEMORY_API_JWKS_URL it listens on loopback only, and says so.

    Example: MEMORY_API_PORT=8090 afterturn api
    """
    from services.cli import serving_api

    run(serving_api.serve, as_json=as_json)


def context(
    room: str,
    query: Annotated[
        str | None, typer.Option("--query", help="What the memories should help with; the last question if left out.")
    ] = None,
    budget: Annotated[int, typer.Option("--budget", metavar="TOKENS", help="How much it may take.")] = 1_500,
    user: UserOption = None,
    company: Annotated[str | None, typer.Option("--company", metavar="ID")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print what to put in front of a model: a room's summary, the memories that matter, and the last messages.

    What is still buffered in Redis is included. The memories are the room's owner's, and those of --user and --company.

    Example: afterturn context user:42 --query "Where do I live?" --budget 800
    """
    from services.cli import contexts

    run(
        lambda output: contexts.context(output, room, query=query, budget=budget, user_id=user, company_id=company),
        as_json=as_json,
    )


def create(
    name: str,
    scope: Annotated[
        list[ScopeName], typer.Option("--scope", help="May record, read, change memories, or do everything.")
    ],
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Bind it to this person.")] = None,
    company: Annotated[str | None, typer.Option("--company", metavar="ID", help="Bind it to this company.")] = None,
    expires: Annotated[datetime | None, typer.Option("--expires", help="When it ends; never if left out.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an API key and print it. It is told once and kept nowhere.

    Example: afterturn keys create "chat service" --scope ingest --scope read
    """
    from services.cli import api_keys

    run(
        lambda output: api_keys.create(
            output,
            name,
            scopes=[each.value for each in scope],
            user_id=user,
            company_id=company,
            expires_at=expires and _in_utc(expires),
        ),
        as_json=as_json,
    )


def list_(limit: Limit = 100, as_json: JsonFlag = False) -> None:
    """List the API keys, revoked ones too; of each only its beginning is known.

    Example: afterturn keys list
    """
    from services.cli import api_keys

    run(lambda output: api_keys.list_all(output, limit=limit), as_json=as_json)


def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `afterturn keys list` shows it.")],
    as_json: JsonFlag = False,
) -> None:
    """Revoke an API key; it counts nowhere any more after ten seconds.

    Example: afterturn keys revoke 7d1f0a52-6a4e-4b6e-9a51-0f6c5d2f9b11
    """
    from services.cli import api_keys

    run(lambda output: api_keys.revoke(output, key), as_json=as_json)


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
