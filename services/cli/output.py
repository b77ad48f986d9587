"""Writes results to standard output, and everything else to standard error."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# What is no terminal has no width of its own; a table in a file should not be cut.
_FILE_WIDTH = 200
# A terminal obeys these, and chat text may hold them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Output:
    """With `as_json`, standard output carries one JSON document and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = _console(error=False)
        self.err = _console(error=True)

    def emit(self, document: object) -> None:
        """Write the command's answer where JSON was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, default=_plain, indent=2) + "\n")
            sys.stdout.flush()

    def print(self, text: str = "", style: str = "") -> None:
        """Write a line for a person."""
        if not self.as_json:
            self.out.print(Text(clean(text), style=style))

    def title(self, text: str) -> None:
        self.print()
        self.print(text, style="bold")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(clean(shown(cell))) for cell in row))
        self.out.print(table)

    def note(self, text: str) -> None:
        """Tell a person what is going on."""
        self.err.print(Text(clean(text)), soft_wrap=True)

    def error(self, text: str) -> None:
        self.err.print(Text("afterturn: ", style="bold red").append(clean(text), style="default"), soft_wrap=True)

    def progress(self) -> Progress:
        """A bar on standard error, and nothing where that is no terminal."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.err,
            disable=not self.err.is_terminal,
        )


def clean(text: str) -> str:
    """Take out what would steer the terminal."""
    return _CONTROLS.sub("�", text)


def shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)


def _console(*, error: bool) -> Console:
    stream = sys.stderr if error else sys.stdout
    return Console(stderr=error, width=None if stream.isatty() else _FILE_WIDTH, highlight=False)


def _plain(value: object) -> Any:  # noqa: ANN401  whatever JSON can hold
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
