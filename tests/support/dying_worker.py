"""A worker process that kills itself at the point named by its argument, as in `after-archive.add`."""

import asyncio
import sys

from services.resources import open_resources
from services.worker.run import connect_to_temporal, serving
from tests.support.steps import die_at, point, watch


async def run(fatal: str) -> None:
    async with (
        open_resources() as resources,
        serving(watch(resources, die_at(point(fatal))), await connect_to_temporal()),
    ):
        print("serving", flush=True)  # noqa: T201  the test waits for it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
