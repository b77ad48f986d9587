"""A storm of any size: `python -m tests.chaos.storm --seconds 600 --rooms 50 --messages 20000 --seed 7`."""

import argparse
import asyncio
import contextlib
import random
import sys
import time
from pathlib import Path

from tests.support.servers import short_folder
from tests.support.storm.plan import Plan
from tests.support.storm.storm import storm


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rooms", type=int, default=50)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, help="how many processes are killed; one in 3.5 seconds, if left out")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--settle-seconds", type=float, default=300)
    parser.add_argument("--temporal-on-postgres", action="store_true", help="Temporal's real server; see make proof")
    parser.add_argument("--folder", type=Path, help="where data and logs stay; its path must be short")
    return parser.parse_args()


def _plan(given: argparse.Namespace) -> Plan:
    return Plan(
        seed=given.seed,
        seconds=given.seconds,
        rooms=given.rooms,
        messages=given.messages,
        kills=given.kills if given.kills is not None else round(given.seconds / 3.5),
        settle_seconds=given.settle_seconds,
        temporal_on_postgres=given.temporal_on_postgres,
    )


def main() -> int:
    began = time.monotonic()

    def tell(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {text}\n")
        sys.stdout.flush()

    given = _arguments()
    with contextlib.nullcontext(given.folder) if given.folder else short_folder() as folder:
        report = asyncio.run(storm(_plan(given), folder, tell))
    for line in report.lines():
        tell(line)
    broken = report.broken()
    tell(f"BROKEN: {broken}" if broken else "every promise held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
