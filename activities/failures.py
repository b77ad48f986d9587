"""The edge between our errors and Temporal's: nothing passes it that could quote chat content."""

import traceback
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from services.domain.errors import PermanentError, TransientError


class ScrubFailures(Interceptor):
    """Turns what an activity raises into an `ApplicationError` of one line, before it is logged or stored.

    A transient error is retried, after as long as the other side asked for; a permanent one is not. Of an error that
    nobody foresaw only its class and where it was raised are told.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Scrubbed(super().intercept_activity(next))


class _Scrubbed(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002, ANN401
        try:
            return await self.next.execute_activity(input)
        except FailureError:
            raise
        except Exception as error:  # noqa: BLE001  all of them are translated
            raise scrubbed(error) from None


def scrubbed(error: Exception) -> ApplicationError:
    name = type(error).__name__
    if isinstance(error, TransientError):
        delay = None if error.retry_after is None else timedelta(seconds=error.retry_after)
        return ApplicationError(str(error), type=name, next_retry_delay=delay, category=ApplicationErrorCategory.BENIGN)
    if isinstance(error, PermanentError):
        return ApplicationError(str(error), type=name, non_retryable=True)
    return ApplicationError(f"{name} at {_origin(error)}", type=name)


def _origin(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    return f"{'/'.join(PurePath(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}"
