from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import DELIVER
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.webhook_steps import DeliverStatus, WebhookInput
    from activities.webhooks import WebhookActivities


@workflow.defn(name="DeliverWebhooks", failure_exception_types=[ValidationError])
class DeliverWebhooks:
    """Tells a webhook its events, in order; may wait days for its endpoint, and ends when nothing is left."""

    @workflow.init
    def __init__(self, input: WebhookInput) -> None:  # noqa: A002, ARG002
        self._status = DeliverStatus()

    @workflow.run
    async def run(self, input: WebhookInput) -> DeliverStatus:  # noqa: A002
        while True:
            step = await ended(workflow.execute_activity_method(WebhookActivities.deliver, input, **DELIVER))
            self._status = self._status.after(step)
            if not step.left:
                return self._status
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(input)

    @workflow.query(description="How many events this run delivered, and how many it set aside.")
    def status(self) -> DeliverStatus:
        return self._status
