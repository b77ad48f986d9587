"""Shows the parts of the embedded stack, their states and addresses, as they change."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.output import Output, clean
from services.embedded.addresses import StackAddresses
from services.embedded.steps import StepState

_ADDRESS_OF = {
    "Postgres": "database_url",
    "Redis": "redis_url",
    "Temporal": "temporal_address",
    "LLM proxy": "llm_proxy_url",
    "Memory API": "api_url",
}
_STYLES: dict[StepState, str] = {
    "working": "yellow",
    "ready": "green",
    "died": "bold red",
    "failed": "bold red",
    "stopped": "dim",
    "note": "default",
}


class StackBoard:
    """A live table on standard error; a line for each step where that is no terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._addresses: StackAddresses | None = None
        self._rows: dict[str, tuple[StepState, str]] = {}
        self._live: Live | None = None

    def expect(self, addresses: StackAddresses) -> None:
        self._addresses = addresses

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not self._output.err.is_terminal:
            yield
            return
        with Live(console=self._output.err, get_renderable=self._table, refresh_per_second=4) as self._live:
            yield
        self._live = None

    def step(self, name: str, state: StepState, detail: str) -> None:
        self._rows[name] = (state, detail)
        if self._live is None:
            self._output.note(f"{name}: {state}{f' ({detail})' if detail else ''}")
        elif state in ("note", "died", "failed"):
            # A table shows the newest only; these should stay to be read.
            self._output.note(f"{name}: {detail}")

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("part", "state", "address"):
            table.add_column(column, overflow="fold")
        for name, (state, detail) in list(self._rows.items()):
            if state != "note":
                words = f"{state}, {detail}" if detail and state == "working" else state
                table.add_row(name, Text(clean(words), style=_STYLES[state]), self._address(name))
        return table

    def _address(self, name: str) -> str:
        found = getattr(self._addresses, _ADDRESS_OF[name], "") if name in _ADDRESS_OF else ""
        return str(found)
