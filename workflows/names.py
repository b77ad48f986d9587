"""Names that operators, schedules and the sweep know the workflows by."""

from afterturn_client.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE, PROCESS_ROOMS, room_digest_id, room_memory_id

PROCESS_ROOMS_SCHEDULE = "process-rooms"

__all__ = [
    "LLM_QUEUE",
    "MEM0_QUEUE",
    "MEMORY_QUEUE",
    "PROCESS_ROOMS",
    "PROCESS_ROOMS_SCHEDULE",
    "room_digest_id",
    "room_memory_id",
]
