"""`memories`: what is remembered about a person or a company."""

from datetime import datetime
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag, Limit
from services.cli.running import run
from services.domain.memories import Kind

group = typer.Typer(no_args_is_help=True, help="What is remembered about a person or a company.")

Slug = Annotated[str, typer.Argument(help="The memory's name: letters, digits and _ . : -, as in user_full_name.")]
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="Of this person.")]
Company = Annotated[str | None, typer.Option("--company", metavar="ID", help="Of this company.")]
KindOption = Annotated[Kind, typer.Option("--kind", help="What happened, what is true, or how to behave.")]


def register(app: typer.Typer) -> None:
    for name, command in (
        ("list", list_),
        ("show", show),
        ("history", history),
        ("lineage", lineage),
        ("save", save),
        ("delete", delete),
    ):
        group.command(name, epilog=EPILOG)(command)
    app.add_typer(group, name="memories")


def list_(
    user: User = None,
    company: Company = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Of this kind only.")] = None,
    limit: Limit = 100,
    as_json: JsonFlag = False,
) -> None:
    """List the memories that stand, by their slugs.

    Example: afterturn memories list --user 42 --kind procedural
    """
    from services.cli import memories

    run(
        lambda output: memories.list_all(output, user_id=user, company_id=company, kind=kind, limit=limit),
        as_json=as_json,
    )


def show(slug: Slug, user: User = None, company: Company = None, as_json: JsonFlag = False) -> None:
    """Show one memory, with what made it.

    Example: afterturn memories show user_full_name --user 42
    """
    from services.cli import memories

    run(lambda output: memories.show(output, slug, user_id=user, company_id=company), as_json=as_json)


def history(slug: Slug, user: User = None, company: Company = None, as_json: JsonFlag = False) -> None:
    """Show what a memory said over time, oldest first; also of one that no longer stands.

    Example: afterturn memories history user_address --user 42
    """
    from services.cli import memories

    run(lambda output: memories.history(output, slug, user_id=user, company_id=company), as_json=as_json)


def lineage(slug: Slug, user: User = None, company: Company = None, as_json: JsonFlag = False) -> None:
    """Show where a memory came from: its messages, the prompt, the model and the run.

    Example: afterturn memories lineage user_address --user 42
    """
    from services.cli import memories

    run(lambda output: memories.lineage(output, slug, user_id=user, company_id=company), as_json=as_json)


def save(
    slug: Slug,
    content: Annotated[str, typer.Argument(help="What to remember, as a statement.")],
    user: User = None,
    company: Company = None,
    kind: KindOption = "semantic",
    asserted_at: Annotated[
        datetime | None,
        typer.Option("--asserted-at", help="Since when it is true, UTC; an older fact never replaces a newer one."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Save a memory; one that is known under this slug is updated.

    Example: afterturn memories save user_phone "Her phone number is 555 0101" --user 42
    """
    from services.cli import memories

    run(
        lambda output: memories.save(
            output, slug, content, user_id=user, company_id=company, kind=kind, asserted_at=asserted_at
        ),
        as_json=as_json,
    )


def delete(slug: Slug, user: User = None, company: Company = None, as_json: JsonFlag = False) -> None:
    """End a memory: from now on it is no longer true. Its history stays.

    Example: afterturn memories delete user_phone --user 42
    """
    from services.cli import memories

    run(lambda output: memories.delete(output, slug, user_id=user, company_id=company), as_json=as_json)
