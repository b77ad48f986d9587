"""Which work goes first where a queue is full: what a person waits for, then what came by the thousand."""

from afterturn_client.waking import fairness_key
from temporalio.common import Priority

LIVE = 3  # Temporal's default
BACKLOG = 5


def behind_chat(owner: str | None) -> Priority:
    """Put work behind live chat, shared out between owners; a workflow's activities and children inherit it."""
    return Priority(priority_key=BACKLOG, fairness_key=fairness_key(owner))
