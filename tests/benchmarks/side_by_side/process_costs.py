"""What processes cost: CPU seconds, those that have died included, and memory."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

_MEBIBYTE = 1024 * 1024
_LOOK_SECONDS = 0.25


@dataclass
class Costs:
    """The costs of all processes below some roots. Look often: what a killed process used is known by looks only."""

    cpu_by_process: dict[tuple[int, float], float] = field(default_factory=dict)
    most_mebibytes: float = 0.0

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu_by_process.values())

    def look(self, roots: Iterable[int]) -> None:
        resident = 0.0
        for process in _families(roots):
            with suppress(psutil.Error):
                times = process.cpu_times()
                self.cpu_by_process[process.pid, process.create_time()] = times.user + times.system
                resident += _memory(process)
        self.most_mebibytes = max(self.most_mebibytes, resident / _MEBIBYTE)

    async def watch(self, roots: Callable[[], Iterable[int]]) -> None:
        while True:
            self.look(roots())
            await asyncio.sleep(_LOOK_SECONDS)


def _families(roots: Iterable[int]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            found |= {process.pid: process for process in (root, *root.children(recursive=True))}
    return list(found.values())


def _memory(process: psutil.Process) -> float:
    """Give what it has to itself, and its share of what forked processes share: summing RSS would count that twice."""
    return float(process.memory_full_info().pss if psutil.LINUX else process.memory_info().rss)
