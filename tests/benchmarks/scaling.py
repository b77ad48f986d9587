"""What so many users need: `python -m tests.benchmarks.scaling --users 1000000 --turns-per-day 20`.

A day of chat is simulated minute by minute with what was measured (docs/benchmarks.json): users talk in sittings, more
of them by day than by night. The peak decides how many workers there must be, and how many actions Temporal takes a
second; the whole day decides what is stored and what the models are asked. Then the busiest minutes are played event by
event on a part of the users, to see how long a turn waits for its digest with that many workers, and with one less.
"""

import argparse
import heapq
import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

MEASURED = Path(__file__).parents[2] / "docs" / "benchmarks.json"
MINUTES = 24 * 60
PEAK_HOUR = 20
# What one history shard, one partition of a task queue and one primary are planned for: a third of what they bear.
ACTIONS_A_PARTITION, ROWS_A_PARTITION = 300.0, 50_000_000
WRITES_A_REDIS = 20_000.0
HEADROOM = 0.6
_GIBIBYTE = 1024**3


@dataclass(frozen=True, slots=True)
class Measured:
    """What one turn or one burst cost on the machine that was measured."""

    cpu_seconds_a_burst: float
    temporal_cpu_share: float
    actions_a_burst: float
    requests_a_burst: float
    tokens_a_turn: float
    postgres_bytes_a_turn: float
    postgres_bytes_a_memory: float
    redis_bytes_a_turn: float
    worker_mebibytes: float
    memories_a_turn: float

    @classmethod
    def read(cls, path: Path) -> "Measured":
        return cls(**json.loads(path.read_text())["costs"])


@dataclass(frozen=True, slots=True)
class Chat:
    """How people talk. A `burst` is what is digested together: turns that follow each other within the linger."""

    users: int
    turns_a_day: float
    turns_a_burst: float
    evenness: float
    linger_seconds: float
    seconds_a_model_call: float

    def share(self, minute: float) -> float:
        """Give how much is said in a minute, 1 on average: a day's curve with its top in the evening."""
        angle = 2 * math.pi * (minute / 60 - PEAK_HOUR) / 24
        return 1 + (1 - self.evenness) * math.cos(angle)

    @property
    def turns_a_second(self) -> float:
        return self.users * self.turns_a_day / 86_400

    @property
    def peak(self) -> float:
        return self.turns_a_second * max(self.share(minute) for minute in range(MINUTES))


@dataclass(frozen=True, slots=True)
class Needs:
    peak_turns: float
    peak_bursts: float
    actions_a_second: float
    actions_a_month: float
    cores: int
    model_calls_at_once: float
    tokens_a_day: float
    redis_bytes: float
    redis_primaries: int
    postgres_bytes_a_year: float
    messages_a_year: float

    @classmethod
    def of(cls, chat: Chat, cost: Measured) -> "Needs":
        bursts = chat.peak / chat.turns_a_burst
        turns_a_day = chat.users * chat.turns_a_day
        stored = cost.postgres_bytes_a_turn + cost.memories_a_turn * cost.postgres_bytes_a_memory
        waiting = chat.peak * (chat.linger_seconds + 60)
        return cls(
            peak_turns=chat.peak,
            peak_bursts=bursts,
            actions_a_second=bursts * cost.actions_a_burst,
            actions_a_month=30 * turns_a_day / chat.turns_a_burst * cost.actions_a_burst,
            cores=math.ceil(bursts * cost.cpu_seconds_a_burst / HEADROOM),
            model_calls_at_once=bursts * cost.requests_a_burst * chat.seconds_a_model_call,
            tokens_a_day=turns_a_day * cost.tokens_a_turn,
            # What is buffered while Postgres is away for a minute.
            redis_bytes=waiting * cost.redis_bytes_a_turn,
            redis_primaries=math.ceil(3 * chat.peak / WRITES_A_REDIS),
            postgres_bytes_a_year=365 * turns_a_day * stored,
            messages_a_year=2 * 365 * turns_a_day,
        )


def arrivals(chat: Chat, chance: Random, minutes: int, users: int) -> Iterator[float]:
    """Give when bursts of so many users end, in the busiest minutes of a day."""
    rate = chat.peak / chat.users * users / chat.turns_a_burst
    at = 0.0
    while (at := at + chance.expovariate(rate)) < minutes * 60:
        yield at


def waits(chat: Chat, cost: Measured, *, places: int, users: int, minutes: int = 10) -> list[float]:
    """Play the busiest minutes: each burst lingers, then waits for one of the `places` that digest."""
    chance, free, waited = Random(1), [0.0] * places, []
    heapq.heapify(free)
    for ended in arrivals(chat, chance, minutes, users):
        ready = ended + chat.linger_seconds
        began = max(ready, heapq.heappop(free))
        done = began + chance.gammavariate(4, seconds_a_digest(chat, cost) / 4)
        heapq.heappush(free, done)
        waited.append(done - ended)
    return sorted(waited)


def seconds_a_digest(chat: Chat, cost: Measured) -> float:
    return cost.requests_a_burst * chat.seconds_a_model_call + cost.cpu_seconds_a_burst


def plan_table(chat: Chat, cost: Measured, need: Needs) -> Table:
    workers = worker_count(need, cost)
    rows = [
        ("turns a second, on average / at the peak", f"{chat.turns_a_second:,.0f} / {need.peak_turns:,.0f}"),
        ("bursts a second at the peak", f"{need.peak_bursts:,.0f}"),
        ("cores for workers, proxies and Temporal", f"{need.cores:,}"),
        ("… of them Temporal's", f"{math.ceil(need.cores * cost.temporal_cpu_share):,}"),
        ("worker processes of one core", f"{workers:,} ({workers * cost.worker_mebibytes / 1024:,.0f} GiB)"),
        ("Temporal actions a second at the peak", f"{need.actions_a_second:,.0f}"),
        ("Temporal actions a month", f"{need.actions_a_month:,.0f}"),
        ("task-queue partitions", f"{max(4, math.ceil(need.actions_a_second / ACTIONS_A_PARTITION)):,}"),
        ("model calls at once at the peak", f"{need.model_calls_at_once:,.0f}"),
        ("model tokens a day", f"{need.tokens_a_day:,.0f}"),
        ("Redis: a minute of turns", f"{need.redis_bytes / _GIBIBYTE:,.2f} GiB on {need.redis_primaries} primaries"),
        ("Postgres a year", f"{need.postgres_bytes_a_year / _GIBIBYTE:,.0f} GiB"),
        ("partitions of the archive after a year", f"{math.ceil(need.messages_a_year / ROWS_A_PARTITION):,}"),
    ]
    table = Table("what", "how much", title=f"{chat.users:,} users, {chat.turns_a_day:g} turns a day each")
    for row in rows:
        table.add_row(*row)
    return table


def worker_count(need: Needs, cost: Measured) -> int:
    return max(2, math.ceil(need.cores * (1 - cost.temporal_cpu_share)))


def wait_table(chat: Chat, cost: Measured, need: Needs) -> Table:
    """Play a part of the users, with their part of the places."""
    part = max(1.0, need.peak_bursts / 50)
    enough = need.peak_bursts * seconds_a_digest(chat, cost) / part
    table = Table(
        "digests at once", "p50 s", "p95 s", title="From a turn's end to its digest, in the busiest ten minutes"
    )
    for share in (0.95, 1.1, 1.5):
        waited = waits(chat, cost, places=max(1, math.ceil(enough * share)), users=round(chat.users / part))
        p95 = waited[int(len(waited) * 0.95)]
        table.add_row(f"{enough * share * part:,.0f}", f"{statistics.median(waited):.1f}", f"{p95:.1f}")
    return table


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--users", type=int, default=1_000_000)
    asked.add_argument("--turns-per-day", type=float, default=20)
    asked.add_argument("--turns-per-burst", type=float, default=4, help="turns that are digested together")
    asked.add_argument("--evenness", type=float, default=0.3, help="1: as much by night as by day")
    asked.add_argument("--linger", type=float, default=5)
    asked.add_argument("--model-seconds", type=float, default=5, help="how long a model takes for an answer")
    asked.add_argument("--measured", type=Path, default=MEASURED)
    given = asked.parse_args()
    cost = Measured.read(given.measured)
    chat = Chat(
        given.users, given.turns_per_day, given.turns_per_burst, given.evenness, given.linger, given.model_seconds
    )
    need, console = Needs.of(chat, cost), Console()
    console.print(plan_table(chat, cost, need), wait_table(chat, cost, need))


if __name__ == "__main__":
    main()
