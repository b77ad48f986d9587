"""The kinds of fields that several routes take."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from afterturn_client.rooms import ID_PATTERN, ROOM_ID_PATTERN
from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, Field

from services.domain.memories import MAX_SLUG

SLUG_PATTERN = rf"^[a-z0-9][a-z0-9_.:-]{{0,{MAX_SLUG - 1}}}$"
_DAY = timedelta(days=1)


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("text without NUL characters")
    return text


def _in_utc(at: datetime) -> datetime:
    """Refuse what no table can hold: the first and the last day may be outside of time in UTC."""
    if not datetime.min.replace(tzinfo=UTC) + _DAY < at < datetime.max.replace(tzinfo=UTC) - _DAY:
        raise ValueError("a time from year 1 to 9999")
    return at.astimezone(UTC)


Id = Annotated[str, Field(pattern=ID_PATTERN, description="Letters, digits and _ . : -, 200 at most.")]
RoomId = Annotated[
    str, Field(pattern=ROOM_ID_PATTERN, description="`user:{user_id}` or `room:{name}`.", examples=["user:42"])
]
Text = Annotated[str, AfterValidator(_storable)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
RoomPath = Annotated[str, Path(pattern=ROOM_ID_PATTERN, description="`user:{user_id}` or `room:{name}`.")]
IdPath = Annotated[str, Path(pattern=ID_PATTERN, description="Letters, digits and _ . : -, 200 at most.")]
SlugPath = Annotated[
    str, Path(pattern=SLUG_PATTERN, description="The memory's name within its owner, as in `user_full_name`.")
]
