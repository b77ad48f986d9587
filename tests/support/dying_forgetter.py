"""A worker that dies after so many boundaries of its transactions: `python -m tests.support.dying_forgetter 12`."""

import asyncio
import sys
from dataclasses import replace

from services.resources import open_resources
from services.worker.run import connect_to_temporal, serving
from tests.support.mortal_steps import Boundaries, MortalDatabase


async def run(fatal: int) -> None:
    async with open_resources() as resources:
        mortal = replace(resources, database=MortalDatabase(resources.database, Boundaries(fatal)))
        async with serving(mortal, await connect_to_temporal()):
            print("serving", flush=True)  # noqa: T201  the test waits for it
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))
