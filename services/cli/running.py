"""Runs a command on a loop of its own, and turns what goes wrong into a line and an exit code."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from services.cli.exit_codes import FAILED, INTERRUPTED, TERMINATED, explain
from services.cli.output import Output

# Does the work and answers the exit code.
Command = Callable[[Output], int | Coroutine[Any, Any, int]]


def run(command: Command, *, as_json: bool, use_stack: bool = True) -> None:
    """Run a command; leave with its exit code."""
    output = Output(as_json=as_json)
    try:
        if use_stack:
            _use_running_stack()
        done = command(output)
        code = done if isinstance(done, int) else asyncio.run(_until_done_or_told(done))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except asyncio.CancelledError:
        code = TERMINATED
    except BrokenPipeError:
        code = FAILED
    except Exception as error:  # noqa: BLE001  each becomes a line
        code, line = explain(error)
        output.error(line)
    raise typer.Exit(code)


@contextmanager
def noted_when_interrupted(output: Output, note: str) -> Iterator[None]:
    """Say what goes on by itself when whoever started it leaves with Ctrl-C."""
    try:
        yield
    except asyncio.CancelledError:
        output.note(note)
        raise


def _use_running_stack() -> None:
    from services.cli.stack_addresses import use_running_stack

    use_running_stack()


async def _until_done_or_told(work: Coroutine[Any, Any, int]) -> int:
    """Let SIGTERM end the work as Ctrl-C does, so that what was started is stopped and what was opened is closed."""
    task = asyncio.current_task()
    if task and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
