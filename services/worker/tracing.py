from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from temporalio import activity, workflow
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from services.tracing import current


def running_step() -> Mapping[str, str]:
    """Name the step or the run that is at work, for whatever it logs."""
    if activity.in_activity():
        info = activity.info()
        named = {"workflow_id": info.workflow_id, "run_id": info.workflow_run_id, "step": info.activity_type}
        return {name: value for name, value in named.items() if value is not None}
    if workflow.in_workflow():
        run = workflow.info()
        return {"workflow_id": run.workflow_id, "run_id": run.run_id}
    return {}


class TraceSteps(Interceptor):
    """A span for each try of a step, in which the models that it asks go on: it names the room, and quotes nothing."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Traced(super().intercept_activity(next), self._tracer)


class _Traced(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, tracer: Tracer) -> None:  # noqa: A002
        super().__init__(next)
        self._tracer = tracer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401
        info = activity.info()
        attributes: dict[str, str | int] = {
            "temporal.workflow_id": info.workflow_id or "",
            "temporal.run_id": info.workflow_run_id or "",
            "temporal.attempt": info.attempt,
        }
        if input.args and (room_id := getattr(input.args[0], "room_id", None)):
            attributes["afterturn.room"] = room_id
        span = self._tracer.start_span(info.activity_type, kind=SpanKind.CONSUMER, attributes=attributes)
        with current(span):
            try:
                return await self.next.execute_activity(input)
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                span.end()
