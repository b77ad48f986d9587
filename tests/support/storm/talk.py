"""What the producers of a storm say, and what they were told about it."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from afterturn_client.messages import Message, new_message

# In every message: it may be found in no history and no log.
CANARY = "velvetcanary"
TAG = re.compile(r"\bm\d{6}\b")
FACT = re.compile(r"I keep (\d+) (goats|boats|maps)\.")
THINGS = ("goats", "boats", "maps")
FACT_SHARE = 0.3

Way = Literal["client", "raw", "api"]


@dataclass(slots=True)
class Said:
    """One message: unless it was acknowledged, it may be there or not, but never twice."""

    tag: str
    room: str
    producer: str
    message: Message
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Producer:
    """Somebody who speaks in one room, in one way, as one person."""

    name: str
    room: str
    user_id: str
    way: Way


@dataclass(slots=True)
class Ledger:
    """Everything that was said, in the order in which each producer said it."""

    said: list[Said] = field(default_factory=list)
    repeats: int = 0

    @property
    def acknowledged(self) -> list[Said]:
        return [one for one in self.said if one.acknowledged]

    def turn(self, producer: Producer, chance: random.Random) -> list[Said]:
        """Make the next turn of a producer: a message and its reply, with ids unless it is raw."""
        fact = f" I keep {chance.randrange(2, 10_000)} {chance.choice(THINGS)}."
        asks = f"{CANARY} asks.{fact if chance.random() < FACT_SHARE else ''}"
        new = [self._said(producer, "user", asks), self._said(producer, "assistant", f"{CANARY} hears.")]
        self.said += new
        return new

    def _said(self, producer: Producer, role: str, text: str) -> Said:
        number = self._next()
        tag = f"m{number:06}"
        message = new_message(
            id=None if producer.way == "raw" else f"{producer.name}.{tag}",
            role=role,
            content=f"{tag} {text}",
            user_id=producer.user_id,
            sent_at=datetime.now(UTC),
        )
        return Said(tag, producer.room, producer.name, message)

    def _next(self) -> int:
        self._count += 1
        return self._count

    _count: int = 0


def tags(texts: Sequence[str]) -> list[str]:
    return [found.group() for text in texts if (found := TAG.search(text))]


def producers(rooms: int) -> list[Producer]:
    """Give each room one who pushes and one who records; in every third, one of them goes through the API.

    Every second room is shared: those who own the rooms beside it speak there.
    """
    found = []
    for number in range(rooms):
        shared = number % 2 == 1
        room = f"room:r{number}" if shared else f"user:u{number}"
        beside = (number - 1, (number + 1) % rooms) if shared else (number, number)
        ways: tuple[Way, Way] = ("raw", "api" if number % 3 == 0 else "client")
        found += [Producer(f"{way}{number}", room, f"u{who}", way) for way, who in zip(ways, beside, strict=True)]
    return found
