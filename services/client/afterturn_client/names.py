"""What the workflows are called, for those who start them."""

from afterturn_client.rooms import check_room_id

MEMORY_QUEUE = "memory"
LLM_QUEUE = "llm"
MEM0_QUEUE = "mem0"

ROOM_MEMORY = "RoomMemory"
ROOM_DIGEST = "RoomDigest"
PROCESS_ROOMS = "ProcessRooms"

TURN_RECORDED = "turn_recorded"
MESSAGES_ARCHIVED = "messages_archived"


def room_memory_id(room_id: str) -> str:
    check_room_id(room_id)
    return f"room-memory:{room_id}"


def room_digest_id(room_id: str) -> str:
    check_room_id(room_id)
    return f"room-digest:{room_id}"
