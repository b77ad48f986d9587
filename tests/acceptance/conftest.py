from dataclasses import replace

import pytest
from temporalio.client import ScheduleState

from services import temporal
from services.worker.schedules import schedules
from tests.support.imports import import_folder
from tests.support.main_job import environment, mem0, memory, model, resources, worker
from workflows.names import PROCESS_ROOMS_SCHEDULE

__all__ = ["environment", "import_folder", "mem0", "memory", "model", "resources", "worker"]


@pytest.fixture
async def by_hand_alone(environment: None) -> None:
    """Let the worker find maintenance paused: at the full hour it would do what a test is about to do itself."""
    client = await temporal.connect()
    for schedule_id, schedule in schedules().items():
        if schedule_id == PROCESS_ROOMS_SCHEDULE:
            continue
        await client.create_schedule(schedule_id, replace(schedule, state=ScheduleState(paused=True)))
