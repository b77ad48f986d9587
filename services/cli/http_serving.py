"""Runs a server of ours in the foreground."""

import signal
import sys
from collections.abc import Callable

from services.cli.exit_codes import FAILED, OK


def serve_until_told(serve: Callable[[], None]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    Uvicorn has these signals while it serves, and raises them again when it has stopped.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(OK))
    try:
        serve()
    except SystemExit as left:
        # Uvicorn has said why, and its codes mean something else than ours.
        return FAILED if left.code else OK
    return OK
