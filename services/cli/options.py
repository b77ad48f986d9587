from typing import Annotated

import typer

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Write the answer as JSON, and nothing else, to standard output.")
]
UserOption = Annotated[str | None, typer.Option("--user", metavar="ID")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at the most.")]
