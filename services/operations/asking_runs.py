"""Asks a run how far it is."""

from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

_ANSWER = timedelta(seconds=5)

AnswerT = TypeVar("AnswerT")


async def ask_run(handle: WorkflowHandle[Any, Any], query: str, shape: type[AnswerT]) -> AnswerT | None:
    """Give the answer to a query, None where no worker gives one: the run is none the worse for that.

    A worker may also fail at it: one with the code of another version, or one that stood still for a moment.
    """
    try:
        answer: AnswerT = await handle.query(query, result_type=shape, rpc_timeout=_ANSWER)
    except (RPCError, WorkflowQueryFailedError):
        return None
    return answer
