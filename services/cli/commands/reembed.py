"""`reembed`: another embedding model, live."""

from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run


def register(app: typer.Typer) -> None:
    app.command("reembed", epilog=EPILOG)(reembed)


def reembed(
    model: Annotated[
        str | None, typer.Argument(help="The embedding model to change to, as the LLM proxy knows it.")
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Tell which models there are, and what each misses.")
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Read the former model again, at once.")] = False,
    drop: Annotated[
        str | None, typer.Option("--drop", metavar="MODEL", help="Write a model no more, and drop its vectors.")
    ] = None,
    max_per_second: Annotated[
        float | None, typer.Option("--max-per-second", min=0.1, max=1_000_000, help="No more texts than that.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is switched to, or not at all.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Embed everything by another model beside the current one, check what search finds in it, and switch to it.

    Runs as a workflow behind live chat: Ctrl-C leaves it running. What is written meanwhile is embedded by both; what
    is read comes from one of them, never from half of one. docs/reembedding.md tells more.

    Example: afterturn reembed bge-m3
    """
    from services.cli import reembedding

    asked = reembedding.Asked(model=model, status=status, rollback=rollback, drop=drop, max_per_second=max_per_second)
    run(lambda output: reembedding.reembed(output, asked, wait=wait), as_json=as_json)
