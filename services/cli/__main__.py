import os
import sys
from typing import NoReturn

from services.cli.app import run_app


def main() -> NoReturn:
    """Run the command line and leave with its exit code.

    Left by `os._exit`, as Temporal's client may die while the interpreter shuts down (sdk-python issue 300); every
    client is closed by then.
    """
    code = run_app(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Whoever read it has left, as `head` does.
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
