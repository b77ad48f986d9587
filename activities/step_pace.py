"""Keeps a step of a long run to its rate and to its time."""

import asyncio
import time

# How long one step goes on: an operator's pause or rate takes effect when it ends.
STEP_SECONDS = 5.0


class StepPace:
    """`batch` is how much may be done before `wait` is awaited: no more than a second's share."""

    def __init__(self, max_per_second: float | None, *, largest_batch: int, seconds: float = STEP_SECONDS) -> None:
        self._rate = max_per_second
        self._started = time.monotonic()
        self._ends = self._started + seconds
        self._done = 0
        self.batch = largest_batch if max_per_second is None else max(1, min(largest_batch, int(max_per_second)))

    def is_over(self) -> bool:
        return time.monotonic() >= self._ends

    async def wait(self, done: int) -> None:
        """Wait until so much more may have been done."""
        self._done += done
        if self._rate is not None:
            await asyncio.sleep(self._started + self._done / self._rate - time.monotonic())
