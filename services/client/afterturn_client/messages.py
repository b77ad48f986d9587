"""A message as producers send it, and its form in a buffer: one JSON object an entry."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from afterturn_client.errors import BadEntryError, InvalidFieldError
from afterturn_client.rooms import ID_TAKES, is_id

MAX_ENTRY_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NUMBER_BITS = 1024
REASONS = frozenset(
    {
        "bad_id",
        "bad_time",
        "lone_surrogate",
        "missing_field",
        "not_an_object",
        "not_json",
        "nul_character",
        "number_out_of_range",
        "too_deep",
        "too_large",
        "unknown_role",
        "wrong_type",
    }
)

# Pydantic's own words could quote the entry.
_TAKES = {
    "id": ID_TAKES,
    "role": "user, assistant, tool or system",
    "content": "text",
    "user_id": ID_TAKES,
    "company_id": ID_TAKES,
    "sent_at": "an ISO 8601 time or seconds since 1970",
    "tool_calls": "a list of objects",
    "metadata": "an object",
    "remember": "true or false",
}

Role = Literal["user", "assistant", "tool", "system"]


def _refuse(reason: str, takes: str) -> NoReturn:
    raise PydanticCustomError(reason, takes)


def _opaque_id(value: object) -> object:
    """Take a whole number for an id, as databases have them."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _checked_id(value: str) -> str:
    return value if is_id(value) else _refuse("bad_id", f"{ID_TAKES}")


def _moment(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, datetime)):
        _refuse("wrong_type", "a time")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return _refuse("bad_time", "a time from year 1 to 9999 in UTC")


Id = Annotated[str, BeforeValidator(_opaque_id), AfterValidator(_checked_id)]
Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_in_utc)]


class Message(BaseModel):
    """One utterance.

    `content` may be left out only where there are tool calls. With `remember` false it is archived and never extracted
    from. `sent_at` without an offset is taken as UTC. `tool_calls` and `metadata` are any JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Id | None = None
    role: Role
    content: str = ""
    user_id: Id | None = None
    company_id: Id | None = None
    sent_at: Moment | None = None
    tool_calls: tuple[dict[str, JsonValue], ...] = ()
    metadata: dict[str, JsonValue] = {}
    remember: bool = True

    @model_validator(mode="before")
    @classmethod
    def _fit_for_storage(cls, fields: object) -> object:
        if not isinstance(fields, Mapping):
            return fields
        _check_storable(fields)
        given = {name: value for name, value in fields.items() if value is not None}
        if "content" not in given:
            if not given.get("tool_calls"):
                _refuse("missing_field", "text, and may be left out only where there are tool calls")
            given["content"] = ""
        return given


_FIELDS = frozenset(Message.model_fields)


def new_message(**fields: Any) -> Message:  # noqa: ANN401  it is validated here
    """Return a message; raise `InvalidFieldError` where a field is wrong."""
    try:
        return Message.model_validate(fields)
    except ValidationError as error:
        _, field, takes = _wrong_field(error)
        raise InvalidFieldError(field, takes) from None


def decode_entry(raw: bytes) -> Message:
    """Read one entry of a buffer; raise `BadEntryError`, and nothing else, whatever the bytes are.

    A field that a message does not have is kept in `metadata`.
    """
    if len(raw) > MAX_ENTRY_BYTES:
        raise BadEntryError("too_large", f"message: takes at most {MAX_ENTRY_BYTES} bytes")
    parsed = _parse(raw)
    if not isinstance(parsed, dict):
        raise BadEntryError("not_an_object", "message: takes a JSON object")
    try:
        return Message.model_validate(_with_extras_in_metadata(parsed))
    except ValidationError as error:
        reason, field, takes = _wrong_field(error)
        raise BadEntryError(reason, f"{field}: takes {takes}") from None


def encode_entry(message: Message) -> bytes:
    """Write a message as `decode_entry` reads it."""
    # What has a default is left out, but for the content, which a message without tool calls has to have.
    entry = message.model_dump_json(exclude_defaults=bool(message.content)).encode()
    if len(entry) > MAX_ENTRY_BYTES:
        raise InvalidFieldError("message", f"at most {MAX_ENTRY_BYTES} bytes as JSON")
    return entry


def _parse(raw: bytes) -> object:
    try:
        return json.loads(raw.decode(), parse_constant=_no_constant)
    except RecursionError:
        raise BadEntryError("too_deep", f"message: takes at most {MAX_DEPTH} levels") from None
    except UnicodeDecodeError:
        raise BadEntryError("not_json", "message: takes JSON in UTF-8") from None
    except json.JSONDecodeError:
        raise BadEntryError("not_json", "message: takes JSON") from None
    except ValueError:  # the parser gives up on whole numbers of more than 4,300 digits
        raise BadEntryError("number_out_of_range", "message: takes whole numbers of at most 4300 digits") from None


def _no_constant(_name: str) -> NoReturn:
    raise json.JSONDecodeError("NaN and Infinity are no JSON", "", 0)


def _with_extras_in_metadata(entry: dict[str, Any]) -> dict[str, Any]:
    if entry.keys() <= _FIELDS:
        return entry
    known = {name: value for name, value in entry.items() if name in _FIELDS}
    extras = {name: value for name, value in entry.items() if name not in _FIELDS}
    metadata = known.get("metadata")
    if not (metadata is None or isinstance(metadata, dict)):
        return known
    kept = dict(metadata or {})
    for name, value in extras.items():
        free = name
        while free in kept:
            free += "_"
        kept[free] = value
    return known | {"metadata": kept}


def _check_storable(fields: Mapping[Any, object]) -> None:
    """Refuse what Postgres cannot hold or what would be costly to walk, before anything else looks at it."""
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        level = [
            member
            for container in level
            for member in (chain(container, container.values()) if isinstance(container, Mapping) else container)
            if _is_container(member)
        ]
        if not level:
            return
    _refuse("too_deep", f"at most {MAX_DEPTH} levels")


def _is_container(member: object) -> bool:
    """Check what is none on the way."""
    if isinstance(member, str):
        if not member.isascii() or "\x00" in member:
            _check_text(member)
        return False
    if member is None or isinstance(member, (bool, datetime)):
        return False
    if isinstance(member, (dict, list, tuple, Mapping)):
        return True
    _check_number(member)
    return False


def _check_text(value: str) -> None:
    if "\x00" in value:
        _refuse("nul_character", "text without NUL characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse("lone_surrogate", "text without lone surrogates")


def _check_number(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        _refuse("number_out_of_range", "finite numbers")
    if isinstance(value, int) and value.bit_length() > MAX_NUMBER_BITS:
        _refuse("number_out_of_range", f"whole numbers of at most {MAX_NUMBER_BITS} bits")


def _wrong_field(error: ValidationError) -> tuple[str, str, str]:
    """Return the reason, the field and what it takes; a field that is not ours is the producer's text, so not named."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = first["loc"][0] if first["loc"] else None
    field = str(place) if place in _TAKES else "message"
    kind = first["type"]
    if kind in REASONS:
        return kind, "content" if kind == "missing_field" else field, first["msg"]
    reason = {"missing": "missing_field", "literal_error": "unknown_role"}.get(kind)
    if reason is None:
        reason = "bad_time" if field == "sent_at" else "wrong_type"
    return reason, field, _TAKES.get(field, "the fields of a message")
