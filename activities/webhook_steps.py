"""What webhooks' steps take and give: ids and counts, never content."""

from typing import Annotated

from pydantic import Field

from activities.steps import Step, StepResult

# What names a memory in Mem0 stands in a path of Mem0's API and in a workflow's id.
MEMORY_ID_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"


class WebhookInput(Step):
    webhook_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]


class DeliverResult(StepResult):
    """How many events a step delivered, and how many it set aside as refused; `left` says that there may be more."""

    delivered: int = 0
    refused: int = 0
    left: bool = False


class DeliverStatus(Step):
    """What a `DeliverWebhooks` run did so far."""

    delivered: int = 0
    refused: int = 0

    def after(self, step: DeliverResult) -> "DeliverStatus":
        return DeliverStatus(delivered=self.delivered + step.delivered, refused=self.refused + step.refused)


class MemoryHintInput(Step):
    memory_id: Annotated[str, Field(pattern=MEMORY_ID_PATTERN)]


class MemoryReconciled(StepResult):
    """Whether the memory did not agree with its brain record, and was mended."""

    mended: bool = False
