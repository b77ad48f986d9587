"""`reembed`: starts and watches a re-embedding; shows models, goes back to the former one, and drops one."""

from dataclasses import asdict, dataclass

from afterturn_client.names import MEMORY_QUEUE
from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.reembed_steps import ReembedResult
from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.cli.running import noted_when_interrupted
from services.cli.watching import how_to_steer, watched_run
from services.domain.errors import InvalidInputError
from services.postgres.vectors.models import EmbeddingModels
from services.resources import Resources
from workflows.names import reembed_id
from workflows.reembed import Reembed, ReembedInput

Handle = WorkflowHandle[Reembed, ReembedResult]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command's options say; one of the first four."""

    model: str | None = None
    status: bool = False
    rollback: bool = False
    drop: str | None = None
    max_per_second: float | None = None


async def reembed(output: Output, asked: Asked, *, wait: bool) -> int:
    """Do the one thing that is asked for; raise `InvalidInputError` where it is none, or more than one."""
    if sum((asked.model is not None, asked.status, asked.rollback, asked.drop is not None)) != 1:
        raise InvalidInputError("MODEL", "a model, or one of --status, --rollback and --drop")
    if asked.model is not None:
        return await _reembed(output, _input(asked.model, asked.max_per_second), wait=wait)
    if asked.drop is not None:
        return await _drop(output, asked.drop)
    return await (_status(output) if asked.status else _roll_back(output))


def _input(model: str, max_per_second: float | None) -> ReembedInput:
    try:
        return ReembedInput(model=model, max_per_second=max_per_second)
    except ValidationError:
        raise InvalidInputError("MODEL", "a model's name: letters, digits and _ . : / @ + -, 200 at most") from None


async def _reembed(output: Output, wanted: ReembedInput, *, wait: bool) -> int:
    async with opened("temporal") as resources:
        how_to = how_to_steer(reembed_id(wanted.model))
        with noted_when_interrupted(output, f"a re-embedding that was started goes on; {how_to}"):
            handle = await _start(resources.temporal, wanted)
            if not wait:
                output.emit({"workflow_id": handle.id, "state": "started"})
                output.print(f"{handle.id} is started")
                output.note(how_to)
                return OK
            result = await watched_run(output, handle, run="the re-embedding", done="vectors")
        setting = resources.models.embedding_model
    output.emit({"workflow_id": handle.id, "state": "done", **result.model_dump()})
    if not result.switched:
        output.print(f"{result.model} is the current model already")
        return OK
    output.print(f"{result.model} is read now: {result.embedded} vectors of {result.dimensions} dimensions were added")
    output.note("`afterturn reembed --rollback` goes back; `--drop` of the former model ends writing it")
    if setting != result.model:
        output.note(f"set EMBEDDING_MODEL={result.model}, which the LLM proxy's /ready looks at")
    return OK


async def _start(temporal: Client, wanted: ReembedInput) -> Handle:
    workflow_id = reembed_id(wanted.model)
    try:
        return await temporal.start_workflow(Reembed.run, wanted, id=workflow_id, task_queue=MEMORY_QUEUE)
    except WorkflowAlreadyStartedError:
        raise CommandFailedError(f"{workflow_id} runs already; {how_to_steer(workflow_id)}") from None


async def _status(output: Output) -> int:
    async with opened("postgres") as resources:
        states = await EmbeddingModels(resources.database).states()
        setting = resources.models.embedding_model
    output.emit({"embedding_model": setting, "models": [asdict(state) for state in states]})
    output.table(
        ("model", "role", "dimensions", "vectors", "missing", "since"),
        ((s.model, s.role, s.dimensions, s.vectors, s.missing, s.created_at) for s in states),
    )
    if not states:
        output.note(f"nothing is embedded yet; {setting} will be the current model (EMBEDDING_MODEL)")
    elif states[0].model != setting:
        output.note(f"EMBEDDING_MODEL says {setting}; the database reads {states[0].model}, and that counts")
    return OK


async def _roll_back(output: Output) -> int:
    async with opened("postgres") as resources:
        models = EmbeddingModels(resources.database)
        former = await models.former()
        if former is None:
            raise CommandFailedError("there is no former model (`afterturn reembed --status`)")
        missing = await models.switch(former)
    if missing:
        raise CommandFailedError(
            f"{former} misses {missing} vectors: `afterturn reembed {former}` brings them and goes back"
        )
    output.emit({"model": former, "state": "switched"})
    output.print(f"{former} is read again")
    return OK


async def _drop(output: Output, model: str) -> int:
    async with opened("postgres", "temporal") as resources:
        if await _runs(resources, model):
            workflow_id = reembed_id(model)
            raise CommandFailedError(
                f"{workflow_id} is at work; cancel it first: `temporal workflow cancel --workflow-id {workflow_id}`"
            )
        await EmbeddingModels(resources.database).drop(model)
    output.emit({"model": model, "state": "dropped"})
    output.print(f"{model} is written no more, and its vectors are dropped")
    return OK


async def _runs(resources: Resources, model: str) -> bool:
    try:
        described = await resources.temporal.get_workflow_handle(reembed_id(model)).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise
    return described.status == WorkflowExecutionStatus.RUNNING
