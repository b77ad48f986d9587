"""What the steps of a forgetting take and give: ids and counts, never content."""

from datetime import datetime
from typing import Annotated, Literal

from afterturn_client.rooms import ID_PATTERN
from pydantic import Field

from activities.steps import Step, StepResult

OwnerType = Literal["user", "company"]


class ForgetInput(Step):
    """Whom to forget: the id as the host writes it."""

    owner_type: OwnerType
    owner_id: Annotated[str, Field(pattern=ID_PATTERN)]


class ForgetRun(ForgetInput):
    """`run` names the forgetting through all its retries."""

    run: str


class ForgetMemoriesResult(StepResult):
    """What may still land in Mem0 has landed after `grace_seconds`."""

    grace_seconds: float = 0.0


class ForgetStatus(Step):
    """What a forgetting does now."""

    step: str = "starting"


class ForgetReceiptStep(StepResult):
    """What was erased where, as counts by place, and what was not ours to erase. It holds no content."""

    run_id: str
    owner_type: OwnerType
    owner_id: str
    erased: dict[str, int]
    own_row: str | None = None
    not_searched: list[str]
    started_at: datetime
    forgotten_at: datetime | None = None
    finished_at: datetime | None = None
