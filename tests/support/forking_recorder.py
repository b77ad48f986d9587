"""Records as a prefork server does: a client made and used before the fork, and used by every child after it.

Nobody closes it. Prints the children's exit codes.
"""

import os
import sys
import threading

from afterturn_client.sync_client import SyncMemoryClient

CHILDREN = 3
THREADS = 4
TURNS = 5


def record(memory: SyncMemoryClient, name: str) -> None:
    def speak(thread: int) -> None:
        for number in range(TURNS):
            memory.record_turn(f"user:{name}", user="says", turn_id=f"{name}-{thread}-{number}")

    threads = [threading.Thread(target=speak, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(redis_url: str, temporal_address: str) -> None:
    # Longer than a busy machine stands still: what a turn may take is tested elsewhere.
    memory = SyncMemoryClient.connect(redis_url, temporal_address, seconds=20, close_grace_seconds=20)
    record(memory, "parent")
    children = []
    for number in range(CHILDREN):
        pid = os.fork()
        if pid == 0:
            record(memory, f"child{number}")
            sys.exit(number)
        children.append(pid)
    record(memory, "parent-again")
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    print(*codes)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
