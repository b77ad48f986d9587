"""What an exit code says, and the one line that goes with it."""

import os
import traceback
from pathlib import PurePath

from afterturn_client.errors import ClientError, InvalidFieldError, RecordingFailedError

from services.domain.errors import AfterturnError, InvalidInputError, ModelUnavailableError

OK = 0
FAILED = 1
WRONG_USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130
TERMINATED = 143

EPILOG = "Exit codes: 0 done, 1 failed or not found, 2 wrong usage or setting, 3 a server cannot be reached."
_TRACEBACK_VARIABLE = "AFTERTURN_TRACEBACK"


class UnreachableError(AfterturnError):
    """A server that the command needs does not answer."""


class CommandFailedError(AfterturnError):
    """The command could not do what it was asked, or did not find it."""


def explain(error: Exception) -> tuple[int, str]:
    """Give the exit code for an error, and a line for a person. Temporal's and the client's errors come here too."""
    from temporalio.service import RPCError

    code = _code(error)
    if isinstance(error, RPCError):
        return code, f"Temporal answers {error.status.name}: {error.message}"
    if isinstance(error, (AfterturnError, ClientError)):
        return code, f"{error}{_cure(str(error))}"
    return code, _unforeseen(error)


def _code(error: Exception) -> int:
    match error:
        case InvalidInputError() | InvalidFieldError():
            return WRONG_USAGE
        case UnreachableError() | ModelUnavailableError(status=None):
            return UNREACHABLE
        case RecordingFailedError() if "full" not in error.cause:
            return UNREACHABLE
        case _:
            return FAILED


def _cure(message: str) -> str:
    # SQLSTATE 42P01 and 42703: a table or a column is missing; 22023: a role is; 42501: a right is.
    missing = any(state in message for state in ("42P01", "42703", "22023", "42501"))
    return "; run `afterturn db upgrade`" if missing else ""


def _unforeseen(error: Exception) -> str:
    """Say where a fault of ours is; its own words may quote chat content, so they are shown only when asked for."""
    if os.environ.get(_TRACEBACK_VARIABLE):
        return "".join(traceback.format_exception(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno}"
    return f"a fault in afterturn: {type(error).__name__} at {place} (set {_TRACEBACK_VARIABLE}=1 to see more)"
