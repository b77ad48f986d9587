"""Afterturn against the Celery design that it replaces: `python -m tests.benchmarks.pipeline [PARTS] [--quick]`.

Both sides have the same Redis, Postgres and model, and take turns, so that both see the same machine.

backlog   bursts of 20 turns, recorded while the worker is stopped: how many turns a second are worked off, and what
          they cost; with a model that answers at once, and with one that takes as long as real ones do
load      so many turns a second: how long it takes from a turn to its digest
kills     workers are killed with SIGKILL every few seconds: what is lost, what waits for ever, what is there twice
sustained 100 turns a second for minutes, with a model that takes 20 s, as large ones do: how many turns a second are
          digested when that has settled

The Celery side is tests/benchmarks/side_by_side/celery_app.py, with 8 processes and with 16. Ratios are to the better
of the two.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.side_by_side import runs
from tests.benchmarks.side_by_side.afterturn_arm import AfterturnArm
from tests.benchmarks.side_by_side.arms import Arm, Outcome
from tests.benchmarks.side_by_side.celery_arm import CeleryArm, Taking
from tests.benchmarks.side_by_side.runs import Drained, Loaded
from tests.benchmarks.side_by_side.servers import Stage, stage
from tests.support.servers import short_folder

BURST = 20
LINGER_SECONDS = 1.0
AT_ONCE, AS_REAL_ONES, AS_LARGE_ONES = 0.0, 5.0, 20.0
_LOAD_MODEL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int = 2
    rooms: int = 80
    rates: tuple[int, ...] = (5, 20, 50)
    load_seconds: float = 20
    deadly_seconds: float = 75
    kill_every: float = 12
    sustained_rate: float = 100
    sustained_first: float = 60
    sustained_seconds: float = 120

    @classmethod
    def quick(cls) -> "Plan":
        return cls(
            rounds=1, rooms=40, rates=(5, 20), load_seconds=10, deadly_seconds=40, kill_every=12, sustained_seconds=60
        )


@dataclass(slots=True)
class Side:
    """What was measured of one side."""

    arm: Arm
    backlogs: dict[float, list[Drained]] = field(default_factory=dict)
    loads: dict[int, Loaded] = field(default_factory=dict)
    outcome: Outcome | None = None
    sustained: Drained | None = None


@asynccontextmanager
async def sides(on: Stage, logs: Path) -> AsyncIterator[list[Side]]:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(AfterturnArm.open(on.servers, logs, temporal_pids=on.temporal_pids))
        kinds: list[tuple[int, Taking]] = [(8, "delete"), (16, "rename")]
        theirs = [
            await stack.enter_async_context(
                CeleryArm.open(on.servers, logs, processes=processes, taking=taking, linger_seconds=LINGER_SECONDS)
            )
            for processes, taking in kinds
        ]
        yield [Side(arm) for arm in (ours, *theirs)]


Tell = Callable[[str], None]


async def measure_backlogs(on: Stage, plan: Plan, all_sides: Sequence[Side], tell: Tell) -> None:
    for model_seconds in (AT_ONCE, AS_REAL_ONES):
        await on.model.take(model_seconds)
        for number in range(plan.rounds):
            for place, side in enumerate(all_sides):
                name = f"b{model_seconds:.0f}-{number}-{place}"
                drained = await runs.backlog(on, side.arm, name, rooms=plan.rooms, each=BURST)
                side.backlogs.setdefault(model_seconds, []).append(drained)
                tell(f"backlog, model {model_seconds:g} s, {side.arm.name}: {drained}")


async def measure_loads(on: Stage, plan: Plan, all_sides: Sequence[Side], tell: Tell) -> None:
    await on.model.take(_LOAD_MODEL_SECONDS)
    for place, side in enumerate(all_sides):
        async with side.arm.working():
            await runs.warm(side.arm, f"lw{place}")
            for rate in plan.rates:
                loaded = await runs.load(
                    on, side.arm, f"l{rate}-{place}", rate=rate, seconds=plan.load_seconds, burst=BURST
                )
                side.loads[rate] = loaded
                tell(f"load {rate}, {side.arm.name}: p50 {loaded.share(0.5):.2f} {loaded.spent}")


async def measure_kills(on: Stage, plan: Plan, all_sides: Sequence[Side], tell: Tell) -> None:
    await on.model.take(_LOAD_MODEL_SECONDS)
    for place, side in enumerate(all_sides):
        async with side.arm.working():
            side.outcome = await runs.deadly_load(
                on, side.arm, f"k{place}", rate=10, seconds=plan.deadly_seconds, every=plan.kill_every, patience=75
            )
        tell(f"kills, {side.arm.name}: {side.arm.kills} {side.outcome}")


async def measure_sustained(on: Stage, plan: Plan, all_sides: Sequence[Side], tell: Tell) -> None:
    await on.model.take(AS_LARGE_ONES)
    for place, side in enumerate(all_sides):
        side.sustained = await runs.sustained(
            on,
            side.arm,
            f"s{place}",
            rate=plan.sustained_rate,
            burst=BURST,
            first=plan.sustained_first,
            seconds=plan.sustained_seconds,
        )
        tell(f"sustained, model {AS_LARGE_ONES:g} s, {side.arm.name}: {side.sustained}")


# The last one leaves much undone: nothing can follow it.
PARTS = {
    "backlog": measure_backlogs,
    "load": measure_loads,
    "kills": measure_kills,
    "sustained": measure_sustained,
}


def backlog_table(all_sides: Sequence[Side], model_seconds: float) -> Table:
    title = "a model that answers at once" if not model_seconds else f"a model that takes {model_seconds:g} s"
    runs_of_each = [side.backlogs[model_seconds] for side in all_sides]
    return _with_figures(_table(all_sides, f"Backlog of bursts of {BURST}, {title}"), runs_of_each)


def sustained_table(all_sides: Sequence[Side]) -> Table:
    title = f"Bursts of {BURST} for minutes, a model that takes {AS_LARGE_ONES:g} s"
    runs_of_each = [[side.sustained] if side.sustained else [] for side in all_sides]
    return _with_figures(_table(all_sides, title), runs_of_each)


def _with_figures(table: Table, runs_of_each: Sequence[Sequence[Drained]]) -> Table:
    """Add a row for each figure: the middle of each side's runs."""
    figures: list[tuple[str, Callable[[Drained], float], bool]] = [
        ("turns a second", lambda one: one.turns_a_second, True),
        ("turns a second for each GiB of memory", lambda one: one.turns_a_second / one.spent.mebibytes * 1024, True),
        ("CPU seconds per 1,000 turns", lambda one: one.spent.cpu_seconds, False),
        ("… of Redis and Postgres", lambda one: one.spent.store_cpu_seconds, False),
        ("model requests per 1,000 turns", lambda one: one.spent.model_calls, False),
        ("tokens per 1,000 turns", lambda one: one.spent.tokens, False),
        ("Temporal actions a turn", lambda one: one.spent.actions / 1000, False),
        ("memory, MiB", lambda one: one.spent.mebibytes, False),
    ]
    for name, figure, more_is_better in figures:
        ours, *theirs = (statistics.median(map(figure, drained)) for drained in runs_of_each)
        best = (max if more_is_better else min)(theirs)
        ratio = f"{ours / best:.2f}" if best else ""
        table.add_row(name, *(f"{number:,.{0 if number >= 100 else 2}f}" for number in (ours, *theirs)), ratio)
    return table


def _table(all_sides: Sequence[Side], title: str) -> Table:
    return Table(*("", *(side.arm.name for side in all_sides), "ratio to the better"), title=title)


def load_table(all_sides: Sequence[Side]) -> Table:
    table = _table(all_sides, "Seconds from turn to digest, a model that takes 1 s")
    for rate in all_sides[0].loads:
        for share in (0.5, 0.95):
            ours, *theirs = (side.loads[rate].share(share) for side in all_sides)
            shown = (f"{number:.2f}" for number in (ours, *theirs))
            table.add_row(f"{rate} turns a second, p{share * 100:.0f}", *shown, f"{ours / min(theirs):.2f}")
        cpu = [side.loads[rate].spent.cpu_seconds for side in all_sides]
        table.add_row(
            f"{rate} turns a second, CPU seconds per 1,000",
            *(f"{number:.1f}" for number in cpu),
            f"{cpu[0] / min(cpu[1:]):.2f}",
        )
        if any(side.loads[rate].missing for side in all_sides):
            missing = (str(side.loads[rate].missing) for side in all_sides)
            table.add_row(f"{rate} turns a second, not digested a minute later", *missing, "")
    return table


def kills_table(all_sides: Sequence[Side]) -> Table:
    table = Table(*("", *(side.arm.name for side in all_sides)), title="Workers killed with SIGKILL, 10 turns a second")
    table.add_row("kills", *(str(side.arm.kills) for side in all_sides))
    told = {
        "lost": "messages lost",
        "stranded": "messages in Redis alone",
        "waiting": "messages archived and not digested",
        "doubled": "messages doubled",
    }
    for name, title in told.items():
        table.add_row(title, *(str(getattr(side.outcome, name)) for side in all_sides))
    return table


async def run(plan: Plan, parts: Sequence[str], console: Console, record: Path | None, *, on_postgres: bool) -> None:
    with short_folder() as folder:
        logs = folder / "logs"
        logs.mkdir()
        servers = stage(folder, model_seconds=AT_ONCE, linger_seconds=LINGER_SECONDS, on_postgres=on_postgres)
        async with servers as on, sides(on, logs) as both:
            for part in parts:
                await PARTS[part](on, plan, both, lambda line: console.print(line, style="dim"))
            console.print(*_tables(both))
            if record:
                figures = json.dumps([_recorded(side) for side in both], indent=1)
                await asyncio.to_thread(record.write_text, figures)


def _tables(all_sides: Sequence[Side]) -> list[Table]:
    ours = all_sides[0]
    return [
        *(backlog_table(all_sides, model_seconds) for model_seconds in ours.backlogs),
        *([load_table(all_sides)] if ours.loads else []),
        *([kills_table(all_sides)] if ours.outcome else []),
        *([sustained_table(all_sides)] if ours.sustained else []),
    ]


def _recorded(side: Side) -> dict[str, object]:
    return {
        "name": side.arm.name,
        "backlogs": {seconds: [asdict(one) for one in some] for seconds, some in side.backlogs.items()},
        "loads": {rate: asdict(one) for rate, one in side.loads.items()},
        "kills": side.arm.kills,
        "outcome": asdict(side.outcome) if side.outcome else None,
        "sustained": asdict(side.sustained) if side.sustained else None,
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    asked.add_argument("--quick", action="store_true", help="less of all, to see that it works")
    asked.add_argument("--record", type=Path, help="a file for the figures, as JSON")
    asked.add_argument("--temporal-on-postgres", action="store_true", help="Temporal's real server; see make proof")
    given = asked.parse_args()
    plan = Plan.quick() if given.quick else Plan()
    console = Console(width=120)
    asyncio.run(run(plan, given.parts, console, given.record, on_postgres=given.temporal_on_postgres))


if __name__ == "__main__":
    main()
