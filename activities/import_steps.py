"""What the steps of an import take and give: a path, a cursor and counts, never content."""

from typing import Annotated, Literal

from pydantic import Field

from activities.steps import RoomId, Step, StepResult
from services.imports.pages import Cursor
from services.imports.said import Format

# `user:` and `room:` stand before it in a room's id.
ShortId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,195}$")]
Source = Annotated[str, Field(min_length=1, max_length=1_000)]


class Origin(Step):
    """A file that a worker can read, and where its messages go.

    All of them go into `room_id`; without it each conversation gets a room named by `room_prefix` and its id.
    `user_id` and `company_id` are for messages that name none.
    """

    source: Source
    format: Literal["auto", "jsonl", "chatgpt", "claude", "locomo"] = "auto"
    user_id: ShortId | None = None
    company_id: ShortId | None = None
    room_id: RoomId | None = None
    room_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,100}$")] | None = None


class CheckedSource(StepResult):
    """A source as it was found: its format, its size in bytes, and a mark that tells it from a changed one.

    Of those who are forgotten after the `epoch` the import brings nothing more.
    """

    format: Format
    size: int
    mark: str
    epoch: int | None = None


class ImportState(Step):
    """How far an import is, and what became of the messages before its cursor; each is counted once.

    `in_page` messages behind the cursor are done, too: they are counted when their page is.
    """

    cursor: Cursor = Cursor()
    in_page: int = 0
    conversations: int = 0
    messages_added: int = 0
    repeated: int = 0
    quarantined: int = 0
    finished: bool = False


class PagesInput(Step):
    """`import_run` names the import through all its runs and retries."""

    origin: Origin
    checked: CheckedSource
    state: ImportState
    import_run: str
    max_per_second: float | None = None


class CopyInput(Step):
    source: Source


class ImportResult(Step):
    """`repeated` messages were in the archive before, or twice in the source."""

    conversations: int = 0
    messages_added: int = 0
    repeated: int = 0
    quarantined: int = 0
