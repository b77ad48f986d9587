"""`forget` and `export`: erase all that is kept of a person or a company, or give it to them."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run
from services.domain.memories import OwnerType

forget_group = typer.Typer(no_args_is_help=True, help="Erase all that is kept of a person or a company, for good.")
export_group = typer.Typer(no_args_is_help=True, help="Write all that is kept of a person or a company into a file.")

OwnerId = Annotated[str, typer.Argument(metavar="ID", help="The id, as the host writes it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until all of it is done, or not at all.")]
File = Annotated[Path | None, typer.Option("--output", "-o", help="Where to; - is standard output. Else ID.zip.")]


def register(app: typer.Typer) -> None:
    for name, command in (("user", forget_user), ("company", forget_company)):
        forget_group.command(name, epilog=EPILOG)(command)
    forget_group.command("list", epilog=EPILOG)(forget_list)
    for name, export in (("user", export_user), ("company", export_company)):
        export_group.command(name, epilog=EPILOG)(export)
    app.add_typer(forget_group, name="forget")
    app.add_typer(export_group, name="export")


def forget_user(owner_id: OwnerId, yes: Yes = False, wait: Wait = True, as_json: JsonFlag = False) -> None:
    """Erase a person: rooms of their own, what they said elsewhere, memories, and all that was made of it.

    Runs as a workflow, and waits for what may land late in Mem0. Ctrl-C leaves it running; starting it again shows it.

    Example: afterturn forget user 42
    """
    _forget("user", owner_id, yes=yes, wait=wait, as_json=as_json)


def forget_company(owner_id: OwnerId, yes: Yes = False, wait: Wait = True, as_json: JsonFlag = False) -> None:
    """Erase a company: its rooms, its memories, and its name in the rooms of others.

    Example: afterturn forget company acme --yes
    """
    _forget("company", owner_id, yes=yes, wait=wait, as_json=as_json)


def forget_list(as_json: JsonFlag = False) -> None:
    """List who was forgotten and when, by UUID, the newest last.

    Keep the JSON apart from the database: after a restore `afterturn restored --forgotten` forgets them again.

    Example: afterturn forget list --json
    """
    from services.cli import forgetting

    run(forgetting.list_all, as_json=as_json)


def export_user(owner_id: OwnerId, output_file: File = None, as_json: JsonFlag = False) -> None:
    """Write all that is kept of a person into a ZIP of JSON lines.

    Example: afterturn export user 42 -o ana.zip
    """
    _export("user", owner_id, output_file, as_json=as_json)


def export_company(owner_id: OwnerId, output_file: File = None, as_json: JsonFlag = False) -> None:
    """Write all that is kept of a company into a ZIP of JSON lines.

    Example: afterturn export company acme
    """
    _export("company", owner_id, output_file, as_json=as_json)


def _forget(owner_type: OwnerType, owner_id: str, *, yes: bool, wait: bool, as_json: bool) -> None:
    from services.cli import forgetting

    if not yes:
        typer.confirm(f"Erase all that is kept of {owner_type} {owner_id}, for good?", abort=True, err=True)
    run(lambda output: forgetting.forget(output, owner_type, owner_id, wait=wait), as_json=as_json)


def _export(owner_type: OwnerType, owner_id: str, file: Path | None, *, as_json: bool) -> None:
    from services.cli import forgetting

    run(lambda output: forgetting.export(output, owner_type, owner_id, file), as_json=as_json)
