"""Workers that kill themselves, one after the other: a line in names the point, as in `after-archive.add`.

Each is forked from this process, which has imported everything: what a worker's start costs is paid once. It says
`serving`, and when it is gone this process says how it ended, as a negative signal or an exit status.
"""

import asyncio
import os
import sys

from tests.support.dying_worker import run


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(run(line.strip()))
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  the test waits for it


if __name__ == "__main__":
    main()
