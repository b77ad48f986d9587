"""`bench`: how good this installation is, in figures."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run

group = typer.Typer(no_args_is_help=True, help="How good this installation is, in figures.")


def register(app: typer.Typer) -> None:
    group.command(epilog=EPILOG)(retrieval)
    app.add_typer(group, name="bench")


# With one command only, Typer would take its name for an argument.
@group.callback()
def _group() -> None: ...


def retrieval(
    file: Annotated[Path, typer.Argument(help="Conversations with questions, in the format of LoCoMo.")],
    as_json: JsonFlag = False,
) -> None:
    """Measure how much of the evidence for each question is among the first hits.

    Archives the conversations in a database of its own, which is thrown away, and searches them as every search does.
    Vectors come from the LLM proxy, where it answers, else from the embedded model.

    Example: afterturn bench retrieval locomo10.json --json
    """
    from services.cli import bench_retrieval

    run(lambda output: bench_retrieval.retrieval(output, file), as_json=as_json)
