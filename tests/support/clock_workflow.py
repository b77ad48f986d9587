"""A workflow as nobody should write one: a replay reads another time."""

import time

from temporalio import workflow


@workflow.defn(name="RoomMemory")
class ReadsAClock:
    @workflow.run
    async def run(self, given: dict[str, object]) -> float:  # noqa: ARG002
        return time.time()
