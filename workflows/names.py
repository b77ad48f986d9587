"""Names that operators, schedules and the sweep know the workflows by."""

from afterturn_client.names import (
    LLM_QUEUE,
    MEM0_QUEUE,
    MEMORY_QUEUE,
    PROCESS_ROOMS,
    ROOM_DIGEST,
    room_digest_id,
    room_memory_id,
)

FORGET_OWNER = "ForgetOwner"
IMPORT_HISTORY = "ImportHistory"
RECONCILE_MEM0 = "ReconcileMem0"
RECONCILE_MEMORY = "ReconcileMemory"
REEMBED = "Reembed"
LOAD_ALL_COMPANIES_MEMORIES = "LoadAllCompaniesMemories"
LOAD_ALL_USERS_MEMORIES = "LoadAllUsersMemories"
LOAD_COMPANY_MEMORIES = "LoadCompanyMemories"
LOAD_USER_MEMORIES = "LoadUserMemories"
PROCESS_ROOMS_SCHEDULE = "process-rooms"
RECONCILE_MEM0_SCHEDULE = "reconcile-mem0"
CLEAN_UP_MEMORY_SCHEDULE = "clean-up-memory"
OPTIMIZE_MEMORY_SCHEDULE = "optimize-memory"
SYNC_MEMORY_SCHEDULE = "sync-memory"
ANALYZE_MEMORY_SCHEDULE = "analyze-memory"

__all__ = [
    "ANALYZE_MEMORY_SCHEDULE",
    "CLEAN_UP_MEMORY_SCHEDULE",
    "FORGET_OWNER",
    "IMPORT_HISTORY",
    "LLM_QUEUE",
    "LOAD_ALL_COMPANIES_MEMORIES",
    "LOAD_ALL_USERS_MEMORIES",
    "LOAD_COMPANY_MEMORIES",
    "LOAD_USER_MEMORIES",
    "MEM0_QUEUE",
    "MEMORY_QUEUE",
    "OPTIMIZE_MEMORY_SCHEDULE",
    "PROCESS_ROOMS",
    "PROCESS_ROOMS_SCHEDULE",
    "RECONCILE_MEM0",
    "RECONCILE_MEM0_SCHEDULE",
    "RECONCILE_MEMORY",
    "REEMBED",
    "ROOM_DIGEST",
    "SYNC_MEMORY_SCHEDULE",
    "forget_owner_id",
    "import_history_id",
    "load_all_memories_id",
    "load_memories_id",
    "reconcile_memory_id",
    "reembed_id",
    "room_digest_id",
    "room_memory_id",
]


def reembed_id(model: str) -> str:
    return f"reembed:{model}"


def import_history_id(import_id: str) -> str:
    return f"import-history:{import_id}"


def load_memories_id(owner_type: str, owner_id: str) -> str:
    return f"load-{owner_type}-memories:{owner_id}"


def load_all_memories_id(owner_type: str) -> str:
    return "load-all-companies-memories" if owner_type == "company" else "load-all-users-memories"


def forget_owner_id(owner_type: str, owner_id: str) -> str:
    return f"forget:{owner_type}:{owner_id}"


def reconcile_memory_id(memory_id: str) -> str:
    return f"reconcile-memory:{memory_id}"
