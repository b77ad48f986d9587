"""What the demo tells in the end."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from services.cli.demo_memories import Remembered, show_memories
from services.cli.output import Output
from services.cli.questions import Question
from services.cli.replay import Replayed
from services.postgres.archive.rooms import RoomState
from services.postgres.archive.summaries import Summary
from services.postgres.search.searching import Hit
from services.resources import Resources

# An answer further down than this is not seen.
_FIRST_HITS = 3


@dataclass(frozen=True, slots=True)
class Searched:
    question: str
    answered_by: tuple[str, ...]
    hits: list[Hit]

    @property
    def answer(self) -> Hit | None:
        return next((hit for hit in self.hits if hit.id in self.answered_by), None)


@dataclass(frozen=True, slots=True)
class Report:
    state: RoomState
    replayed: Replayed
    summary_model: str
    embedding_model: str
    rolling: Summary | None
    parts: list[Summary]
    memories: list[Remembered]
    memories_configured: bool
    searches: list[Searched]
    set_aside: int
    left_in_redis: int
    seconds: dict[str, float]
    temporal_ui_url: str | None

    @property
    def complete(self) -> bool:
        """Tell whether every message of the conversation was archived and digested, and none waits in Redis."""
        return self.replayed.counts.digested == self.replayed.messages and self.left_in_redis == 0

    def as_document(self) -> dict[str, object]:
        return {
            "room_id": self.state.room_id,
            "models": {"summary": self.summary_model, "embedding": self.embedding_model},
            "messages": self.replayed.messages,
            "known_already": self.replayed.known,
            "archived": self.replayed.counts.archived,
            "digested": self.replayed.counts.digested,
            "quarantined": self.replayed.counts.quarantined,
            "entries_set_aside": self.set_aside,
            "left_in_redis": self.left_in_redis,
            "messages_in_room": self.state.messages,
            "summary": self.rolling and asdict(self.rolling),
            "parts": [asdict(part) for part in self.parts],
            "memories": [memory.as_document() for memory in self.memories],
            "searches": [asdict(search) | {"found": search.answer is not None} for search in self.searches],
            "seconds": {phase: round(seconds, 2) for phase, seconds in self.seconds.items()},
            "temporal_ui_url": self.temporal_ui_url,
            "complete": self.complete,
        }


async def search_all(resources: Resources, room_id: str, questions: Sequence[Question]) -> list[Searched]:
    searched = []
    for question in questions:
        # What answers is known by its message: a memory made of it would take its place.
        kinds = ("message", "summary")
        found = await resources.searching.find(question.text, room_id=room_id, kinds=kinds, limit=_FIRST_HITS)
        searched.append(Searched(question.text, question.answered_by, found.hits))
    return searched


def show(output: Output, report: Report) -> None:
    output.title("Models")
    output.print(f"summaries: {report.summary_model}, vectors: {report.embedding_model}")
    _show_summaries(output, report)
    show_memories(output, report.memories, configured=report.memories_configured)
    _show_searches(output, report.searches)
    _show_counts(output, report)


def _show_summaries(output: Output, report: Report) -> None:
    output.title("The room's summary")
    if report.rolling is None:
        output.print("none: nothing in this conversation is to be remembered")
    else:
        output.print(report.rolling.text)
        output.print(f"({_made(report.rolling)})", style="dim")
    output.title("Its parts")
    for part in report.parts:
        output.print(part.text)
        output.print(f"({_made(part)})", style="dim")


def _made(summary: Summary) -> str:
    by = f"by {summary.model}, checked against the messages" if summary.made_by == "model" else _EXTRACTED
    return f"messages {summary.covers_from} to {summary.covers_to}, {by}"


_EXTRACTED = "sentences taken from it: what the model wrote was not borne out by the messages"


def _show_searches(output: Output, searches: Sequence[Searched]) -> None:
    output.title("Searches")
    for search in searches:
        output.print(search.question, style="bold")
        best = search.answer or (search.hits[0] if search.hits else None)
        output.print(f"  {best.role} ({best.seq}): {' '.join(best.text.split())}" if best else "  nothing")
        if search.answer is None:
            output.print("  this is not one of the messages that answer it", style="dim")
    found = sum(search.answer is not None for search in searches)
    output.print(f"{found} of {len(searches)} have a right answer among the first {_FIRST_HITS} hits", style="dim")


def _show_counts(output: Output, report: Report) -> None:
    replayed, counts, seconds = report.replayed, report.replayed.counts, report.seconds
    output.title("Counts")
    output.print(
        f"{replayed.messages} messages replayed into {report.state.room_id}, which has {report.state.messages}"
    )
    if replayed.known:
        output.print(f"{replayed.known} messages were known already and are stored once")
    output.print(f"{counts.archived} archived, {counts.digested} digested, {counts.quarantined} in quarantined chunks")
    if report.set_aside:
        output.print(f"{report.set_aside} entries of this room are in quarantine: see `afterturn quarantine list`")
    output.print(f"{report.left_in_redis} messages are left in Redis")
    output.print(", ".join(f"{phase} {taken:.1f} s" for phase, taken in seconds.items()))
    if report.temporal_ui_url:
        output.print(f"Temporal UI: {report.temporal_ui_url}")
