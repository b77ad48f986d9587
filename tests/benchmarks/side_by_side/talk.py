"""What is said in the benchmarks: each turn is unlike every other, and every fifth states a fact to remember."""

from dataclasses import dataclass
from typing import Final

FACT: Final = "keep a"
THINGS: Final = ("bicycle", "piano", "telescope", "canary", "boat", "garden", "camera", "kettle")
PLACES: Final = ("Lima", "Oslo", "Porto", "Quito", "Turin", "Izmir", "Kyoto", "Leeds")
_FACT_EVERY = 5


@dataclass(frozen=True, slots=True)
class Turn:
    room_id: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.room_id}:{self.number}"

    @property
    def user_id(self) -> str:
        return self.room_id.partition(":")[2]

    @property
    def user(self) -> str:
        thing, place = THINGS[self.number % len(THINGS)], PLACES[self.number // 3 % len(PLACES)]
        if self.number % _FACT_EVERY == 0:
            return f"I {FACT} {thing} numbered {self.number} in my house in {place} since last winter."
        return f"Question {self.number}: which {thing} would you choose for a small flat in {place}?"

    @property
    def assistant(self) -> str:
        return f"Answer {self.number}: the lighter one is easier to carry up the stairs, and it costs less to repair."


def room_of(name: str, number: int) -> str:
    return f"user:{name}-{number}"
