"""`replay`: says whether the runs that are open can be taken up by the code that is installed here."""

from dataclasses import asdict

from services import temporal
from services.cli.exit_codes import FAILED, OK
from services.cli.output import Output
from services.cli.reaching import reach_temporal
from services.worker.replaying import replay_runs


async def replay(output: Output, *, ended: int) -> int:
    client = await temporal.connect(lazy=True)
    await reach_temporal(client)
    runs = [one async for one in replay_runs(client, ended=ended)]
    faulty = [one for one in runs if one.fault]
    is_open = sum(one.is_open for one in runs)
    output.emit({"open": is_open, "ended": len(runs) - is_open, "faulty": [asdict(one) for one in faulty]})
    for one in faulty:
        state = "open" if one.is_open else "ended"
        output.print(f"{one.workflow_id} ({one.type}, run {one.run_id}, {state}): {one.fault}")
    output.print(f"{is_open} open runs and {len(runs) - is_open} ended ones were replayed, {len(faulty)} cannot go on")
    return FAILED if faulty else OK
