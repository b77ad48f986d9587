"""Stands around a client and does something at a named step: waits there, or dies there."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from temporalio import activity

from services.resources import Resources

When = Literal["before", "after"]


@dataclass(frozen=True)
class Point:
    """A moment in the way of a turn: just before or just after a client's method did its work."""

    client: str
    method: str
    when: When

    def __str__(self) -> str:
        return f"{self.when}-{self.client}.{self.method}"


def point(text: str) -> Point:
    when, _, call = text.partition("-")
    client, _, method = call.partition(".")
    return Point(client, method, "before" if when == "before" else "after")


# Claim, archive, release, digest woken, chunk cut, messages' vectors kept, answer recorded, summaries kept, memories
# saved, digested.
STEPS = (
    ("buffer", "claim"),
    ("archive", "add"),
    ("buffer", "release"),
    ("temporal", "start_workflow"),
    ("digests", "take"),
    ("digests", "begin"),
    ("answers", "record"),
    ("digests", "keep"),
    ("memories", "save"),
    ("chunks", "digested"),
)
POINTS = tuple(Point(client, method, when) for client, method in STEPS for when in ("before", "after"))
# Those of archiving, the others are of digesting.
OF_ROOM_MEMORY = ("buffer", "archive", "temporal")
# Where memories are saved by a step of their own: a chunk is marked as extracted before it.
APART = (("chunks", "extracted"), ("memories", "save"))
POINTS_APART = tuple(Point(client, method, when) for client, method in APART for when in ("before", "after"))

Action = Callable[[Point], Awaitable[None]]


class Watched:
    """Passes every call on to `inner`, and runs `action` at each point of it."""

    def __init__(self, client: str, inner: object, action: Action) -> None:
        self._client = client
        self._inner = inner
        self._action = action

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._inner, method)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def watched(*args: Any, **kwargs: Any) -> Any:
            await self._action(Point(self._client, method, "before"))
            answer = await found(*args, **kwargs)
            await self._action(Point(self._client, method, "after"))
            return answer

        return watched


def watch(resources: Resources, action: Action) -> Resources:
    """Give the same resources, with `action` run around every step."""
    clients = dict.fromkeys(client for client, _ in (*STEPS, *APART))
    changed: dict[str, Any] = {name: Watched(name, getattr(resources, name), action) for name in clients}
    return replace(resources, **changed)


def die_at(fatal: Point) -> Action:
    """Kill this process with SIGKILL the first time that the point is reached."""

    async def action(here: Point) -> None:
        if here == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    return action


class Gates:
    """Holds each workflow at one point of its way until its gate is opened."""

    def __init__(self) -> None:
        self._held: dict[str, Point] = {}
        self.reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.open: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def hold(self, workflow_id: str, where: Point) -> None:
        self._held[workflow_id] = where

    async def action(self, here: Point) -> None:
        workflow_id = activity.info().workflow_id or ""
        if self._held.get(workflow_id) == here:
            self.reached[workflow_id].set()
            await self.open[workflow_id].wait()
