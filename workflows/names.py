"""Names that operators, schedules and the sweep know the workflows by."""

from afterturn_client.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE, PROCESS_ROOMS, room_digest_id, room_memory_id

IMPORT_HISTORY = "ImportHistory"
PROCESS_ROOMS_SCHEDULE = "process-rooms"
RECONCILE_MEM0_SCHEDULE = "reconcile-mem0"

__all__ = [
    "IMPORT_HISTORY",
    "LLM_QUEUE",
    "MEM0_QUEUE",
    "MEMORY_QUEUE",
    "PROCESS_ROOMS",
    "PROCESS_ROOMS_SCHEDULE",
    "RECONCILE_MEM0_SCHEDULE",
    "import_history_id",
    "room_digest_id",
    "room_memory_id",
]


def import_history_id(import_id: str) -> str:
    return f"import-history:{import_id}"
