"""`import`: starts an import of a file, and watches it."""

import asyncio
import json
import shutil
import uuid
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal

from afterturn_client.errors import InvalidFieldError
from afterturn_client.names import MEMORY_QUEUE
from afterturn_client.rooms import check_room_id
from pydantic import ValidationError
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.import_steps import ImportResult
from activities.imports import check_origin
from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.cli.running import noted_when_interrupted
from services.cli.watching import how_to_steer, watched_run
from services.domain.errors import InvalidInputError
from services.imports.detection import check_text, detect
from services.imports.folder import COPIES, ImportFolder
from services.settings import ImportSettings, load
from workflows.import_history import ImportHistory, ImportInput
from workflows.names import import_history_id

Handle = WorkflowHandle[ImportHistory, ImportResult]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command's options say."""

    reads: Literal["auto", "jsonl", "chatgpt", "claude", "locomo"] = "auto"
    user_id: str | None = None
    company_id: str | None = None
    room_id: str | None = None
    room_prefix: str | None = None
    max_per_second: float | None = None


async def import_file(output: Output, file: Path, asked: Asked, *, wait: bool) -> int:
    """Check the file, bring it to the workers, start its import, and show how far it comes."""
    wanted = _input(asked)
    await asyncio.to_thread(_check, file, wanted)
    import_id = await asyncio.to_thread(_import_id, file, wanted)
    workflow_id = import_history_id(import_id)
    started = {"import_id": import_id, "workflow_id": workflow_id}
    async with opened("temporal") as resources:
        with noted_when_interrupted(output, f"an import that was started goes on; {how_to_steer(workflow_id)}"):
            handle = await _start(resources.temporal, file, wanted, import_id)
            if not wait:
                output.emit(started | {"state": "started"})
                output.print(f"{workflow_id} is started")
                output.note(how_to_steer(workflow_id))
                return OK
            try:
                result = await watched_run(output, handle, run="the import", done="messages")
            except CommandFailedError:
                # Workers that do not share this folder could not remove it.
                await asyncio.to_thread(_remove_copy, import_id)
                raise
    output.emit(started | {"state": "done", **result.model_dump()})
    output.print(
        f"{result.messages_added} messages of {result.conversations} conversations are in the archive, "
        f"{result.repeated} were there before"
    )
    if result.quarantined:
        output.note(f"{result.quarantined} could not be read: `afterturn quarantine list` shows why")
    return OK


def _input(asked: Asked) -> ImportInput:
    if asked.room_id is not None:
        check_room_id(asked.room_id)
    fields = asdict(asked)
    try:
        return ImportInput(source="-", format=fields.pop("reads"), **fields)
    except ValidationError as error:
        field = str(error.errors(include_input=False)[0]["loc"][0])
        option = f"--{field.removesuffix('_id').replace('_', '-')}"
        raise InvalidFieldError(option, "letters, digits and _ . : -, 195 at most") from None


def _check(file: Path, wanted: ImportInput) -> None:
    """What the worker would refuse is refused here, before anything is copied."""
    try:
        with file.open("rb") as opened_file:
            check_text(opened_file)
            reads = detect(opened_file) if wanted.format == "auto" else wanted.format
            check_origin(wanted, reads, opened_file)
    except OSError as error:
        raise InvalidInputError("FILE", f"a file that can be read ({type(error).__name__})") from None


def _import_id(file: Path, wanted: ImportInput) -> str:
    """The same file to the same place has the same id: two of its imports cannot run at once."""
    with file.open("rb") as opened_file:
        content = file_digest(opened_file, "sha256").hexdigest()
    where = [wanted.format, wanted.user_id, wanted.company_id, wanted.room_id, wanted.room_prefix]
    return sha256(json.dumps([content, *where]).encode()).hexdigest()[:16]


async def _start(temporal: Client, file: Path, wanted: ImportInput, import_id: str) -> Handle:
    source = ImportFolder(load(ImportSettings).import_folder).name_of(file)
    if source is None:
        source = await asyncio.to_thread(_copy, file, import_id)
    workflow_id = import_history_id(import_id)
    try:
        return await temporal.start_workflow(
            ImportHistory.run,
            wanted.model_copy(update={"source": source}),
            id=workflow_id,
            task_queue=MEMORY_QUEUE,
        )
    except WorkflowAlreadyStartedError:
        raise CommandFailedError(f"{workflow_id} imports this file already; {how_to_steer(workflow_id)}") from None
    except RPCError:
        await asyncio.to_thread(_remove_copy, import_id)
        raise


def _copy_of(import_id: str) -> str:
    return f"{COPIES}/{import_id}.json"


def _remove_copy(import_id: str) -> None:
    ImportFolder(load(ImportSettings).import_folder).remove_copy(_copy_of(import_id))


def _copy(file: Path, import_id: str) -> str:
    """Copy it to where the workers look; whole, or not at all."""
    folder = load(ImportSettings).import_folder / COPIES
    draft = folder / f".{uuid.uuid4().hex}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, draft)
            draft.replace(folder.parent / _copy_of(import_id))
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError("IMPORT_FOLDER", f"a folder that can be written ({type(error).__name__})") from None
    return _copy_of(import_id)
