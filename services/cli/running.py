"""Runs a command on a loop of its own, and turns what goes wrong into a line and an exit code."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import typer

from services.cli.exit_codes import FAILED, INTERRUPTED, explain
from services.cli.output import Output
from services.cli.stack_addresses import use_running_stack

# Does the work and answers the exit code.
Command = Callable[[Output], int | Coroutine[Any, Any, int]]


def run(command: Command, *, as_json: bool, use_stack: bool = True) -> None:
    """Run a command; leave with its exit code."""
    output = Output(as_json=as_json)
    try:
        if use_stack:
            use_running_stack()
        done = command(output)
        code = done if isinstance(done, int) else asyncio.run(done)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = FAILED
    except Exception as error:  # noqa: BLE001  each becomes a line
        code, line = explain(error)
        output.error(line)
    raise typer.Exit(code)
