"""Does to the servers what the plan says, at its time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import cast

from tests.support.storm.plan import Fault, Target
from tests.support.storm.servers import Servers


async def strike(servers: Servers, faults: Sequence[Fault]) -> Counter[str]:
    """Strike until the last fault is over; answer how many of each kind there were."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    done = Counter[str]()
    async with asyncio.TaskGroup() as tasks:
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at - loop.time()))
            tasks.create_task(_strike(servers, fault))
            done[fault.kind] += 1
    return done


async def _strike(servers: Servers, fault: Fault) -> None:
    match fault.kind:
        case "kill":
            await servers.kill(cast(Target, fault.target))
        case "kill postmaster":
            await servers.kill("postgres", postmaster_only=True)
        case "pause":
            await servers.pause(cast(Target, fault.target), fault.seconds)
        case "refuse":
            async with servers.links[fault.target].refusing():
                await asyncio.sleep(fault.seconds)
        case "hold up":
            with servers.links[fault.target].holding_up():
                await asyncio.sleep(fault.seconds)
        case "model":
            await servers.model.change(fault.target)
            await asyncio.sleep(fault.seconds)
            await servers.model.change(None)
