"""Replays the runs of a Temporal against the code that is here: what would stop at a deploy is known before it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from services.temporal import query_list
from services.worker.queues import WORKFLOWS

# Imported once and not again for each run: an unpassed SQLAlchemy costs 450 ms.
_PASSED_THROUGH = (
    *("activities", "services", "afterturn_client", "pydantic", "sqlalchemy", "redis", "httpx"),
    *("workflows.names", "workflows.activity_options", "workflows.short_histories"),
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run, and why it could not be taken up; None where it could be."""

    workflow_id: str
    run_id: str
    type: str
    is_open: bool
    fault: str | None


def replayer(namespace: str, data_converter: DataConverter, workflows: Sequence[type] = WORKFLOWS) -> Replayer:
    """Replay in the SDK's sandbox, where a workflow that reads a clock, draws a number or opens a file fails."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)
    return Replayer(
        workflows=workflows,
        namespace=namespace,
        data_converter=data_converter,
        workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions),
        # A machine that stands still for two seconds is no deadlock of the workflow.
        debug_mode=True,
    )


async def replay_runs(client: Client, *, ended: int, workflows: Sequence[type] = WORKFLOWS) -> AsyncIterator[Replayed]:
    """Replay every run that is open, and the last `ended` of each workflow that came to an end; writes nothing."""
    sandboxed = replayer(client.namespace, client.data_converter, workflows)
    names = sorted(_name_of(one) for one in workflows)
    for query, most in _queries(names, ended):
        async for run in client.list_workflows(query, limit=most):
            if (found := await _replay(client, sandboxed, run)) is not None:
                yield found


async def _replay(client: Client, replayer: Replayer, run: WorkflowExecution) -> Replayed | None:
    try:
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    except RPCError as error:
        # It is past Temporal's retention by now.
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    done = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    is_open = run.status is WorkflowExecutionStatus.RUNNING
    return Replayed(run.id, run.run_id, run.workflow_type, is_open, _fault(done.replay_failure))


def _fault(failure: Exception | None) -> str | None:
    """Its words name steps; those of any other error might quote what a step was given."""
    if failure is None:
        return None
    return str(failure) if isinstance(failure, NondeterminismError) else type(failure).__name__


def _queries(names: Sequence[str], ended: int) -> list[tuple[str, int | None]]:
    running = f"WorkflowType IN {query_list(names)} AND ExecutionStatus = 'Running'"
    queries: list[tuple[str, int | None]] = [(running, None)]
    if ended:
        queries += [(f"WorkflowType = '{name}' AND ExecutionStatus != 'Running'", ended) for name in names]
    return queries


def _name_of(workflow: type) -> str:
    name: str = workflow.__temporal_workflow_definition.name  # type: ignore[attr-defined]  # noqa: SLF001  the SDK tells it nowhere else
    return name
