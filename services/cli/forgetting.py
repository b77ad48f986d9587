"""What the `forget` and `export` commands do."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from activities.forget_steps import ForgetReceiptStep
from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.cli.running import noted_when_interrupted
from services.domain.errors import InvalidInputError
from services.domain.memories import OwnerType, owner_of
from services.memories.exporting import Exporting
from services.operations.forgetting import ForgettingRuns, ForgettingState
from services.postgres.forgetting.forgettings import Forgettings

_LOOK_SECONDS = 1.0
_COLUMNS = ("run_id", "owner_type", "owner_id", "started_at", "forgotten_at", "finished_at")


async def forget(output: Output, owner_type: OwnerType, owner_id: str, *, wait: bool) -> int:
    """Start the forgetting, or join the one under way; show what it does, and its receipt."""
    owner_of(owner_type, owner_id)
    async with opened("temporal") as resources:
        runs = ForgettingRuns(resources.temporal)
        with noted_when_interrupted(output, "a forgetting that was started goes on; the same command shows it again"):
            workflow_id = await runs.start(owner_type, owner_id)
            if not wait:
                output.emit({"workflow_id": workflow_id, "state": "running"})
                output.print(f"{workflow_id} is started")
                return OK
            state = await _ended(output, runs, owner_type, owner_id)
    if state.receipt is None:
        raise CommandFailedError(f"{workflow_id} was {state.state}; start it again to finish it")
    _show(output, state.receipt)
    return OK


async def list_all(output: Output) -> int:
    async with opened("postgres") as resources:
        receipts = await Forgettings(resources.database).every()
    rows = [asdict(one) | {"owner_id": str(one.owner_id)} for one in receipts]
    shown = [{name: row[name] for name in _COLUMNS} for row in rows]
    output.emit({"forgettings": shown})
    output.table([name.replace("_", " ") for name in _COLUMNS], ([row[name] for name in _COLUMNS] for row in shown))
    return OK


async def _ended(output: Output, runs: ForgettingRuns, owner_type: OwnerType, owner_id: str) -> ForgettingState:
    ending = asyncio.create_task(runs.wait(owner_type, owner_id))
    told = None
    try:
        while not ending.done():
            state = await runs.look(owner_type, owner_id)
            if state.step and state.step != told:
                told = state.step
                output.note(told)
            await asyncio.wait([ending], timeout=_LOOK_SECONDS)
        return await ending
    finally:
        ending.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([ending])


def _show(output: Output, receipt: ForgetReceiptStep) -> None:
    output.emit(receipt.model_dump(mode="json"))
    output.title(f"{receipt.owner_type} {receipt.owner_id} is forgotten")
    output.table(("erased", "count"), [(name, str(number)) for name, number in sorted(receipt.erased.items())])
    output.print(f"own row: {receipt.own_row}")
    output.print(f"run {receipt.run_id}, finished at {receipt.finished_at}", style="dim")
    for place in receipt.not_searched:
        output.note(f"not searched: {place}")


@dataclass(slots=True)
class _Written:
    size: int = 0


async def export(output: Output, owner_type: OwnerType, owner_id: str, file: Path | None) -> int:
    """Write the ZIP; a file appears when it is whole."""
    owner = owner_of(owner_type, owner_id)
    target = file or Path(f"{owner_id}.zip")
    written = _Written()
    async with opened("postgres") as resources:
        exporting = Exporting(resources.database, resources.owners_data)
        if str(target) == "-":
            async for piece in exporting.stream(owner):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return OK
        draft = target.with_name(f".{target.name}.part")
        try:
            with draft.open("wb") as out:
                async for piece in exporting.stream(owner):
                    written.size += await asyncio.to_thread(out.write, piece)
            await asyncio.to_thread(draft.replace, target)
        except OSError as error:
            raise InvalidInputError("--output", f"a file that can be written ({type(error).__name__})") from None
        finally:
            draft.unlink(missing_ok=True)
    output.emit({"owner": str(owner), "file": str(target), "bytes": written.size})
    output.print(f"{target}: {written.size} bytes")
    return OK
