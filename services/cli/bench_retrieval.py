"""Measures how much of what answers a question is found."""

import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from services.cli.bench_embedding import Embedder, open_embedder
from services.cli.exit_codes import OK
from services.cli.output import Output
from services.domain.errors import InvalidInputError
from services.domain.ids import message_uid
from services.domain.locomo import CATEGORIES, Asked, Conversation, Said, read_locomo
from services.domain.messages import ArchivedMessage, ClaimedEntry, NewMessage
from services.domain.transcripts import embedding_text
from services.embedded.postgres_server import PostgresServer
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.migrate import upgrade
from services.postgres.search.searching import Search
from services.postgres.vectors.tables import Embeddings, Item

FIRST = (5, 10, 20)
_ARCHIVED_AT_ONCE = 500
_EMBEDDED_AT_ONCE = 64
_NO_SAFER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
Advance = Callable[[int], None]
ThingT = TypeVar("ThingT")


@dataclass(frozen=True, slots=True)
class Answer:
    """`found` is the share of a question's evidence among the first hits, for each of `FIRST`."""

    conversation: str
    category: str
    found: tuple[float, ...]
    seconds: float


async def retrieval(output: Output, file: Path) -> int:
    conversations = _read(file)
    async with _database() as database, open_embedder() as embedder:
        bench = _Bench(database, embedder)
        with output.progress() as progress:
            messages = progress.add_task("messages", total=sum(len(one.messages) for one in conversations))
            questions = progress.add_task("questions", total=sum(len(one.questions) for one in conversations))
            for conversation in conversations:
                await bench.archive(conversation, lambda done: progress.advance(messages, done))
            answers = [
                answer
                for conversation in conversations
                for answer in await bench.ask(conversation, lambda done: progress.advance(questions, done))
            ]
    document = _document(conversations, answers, embedder.model)
    output.emit(document)
    _show(output, document)
    return OK


def _read(file: Path) -> list[Conversation]:
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidInputError(str(file), f"a file that can be read ({error.strerror})") from None
    except ValueError:
        raise InvalidInputError(str(file), "JSON") from None
    conversations = read_locomo(document, str(file))
    if not any(conversation.questions for conversation in conversations):
        raise InvalidInputError(str(file), "a question with evidence, at least")
    return conversations


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory(prefix="at-") as folder:
        async with PostgresServer(Path(folder) / "postgres", database="bench", settings=_NO_SAFER) as postgres:
            await upgrade(postgres.url)
            async with Database.open(postgres.url) as database:
                yield database


class _Bench:
    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._archive = Archive(database)
        self._embeddings = Embeddings(database, embedder.model)
        self._search = Search(database, embedder.model)
        self._embedder = embedder

    async def archive(self, conversation: Conversation, advance: Advance) -> None:
        room = _room(conversation)
        for part in _batches(conversation.messages, _ARCHIVED_AT_ONCE):
            await self._archive.add(room, "bench", [_entry(message) for message in part], run_id="bench")
        for some in _batches(conversation.messages, _EMBEDDED_AT_ONCE):
            vectors = await self._embed([_text(room, message) for message in some], "passage")
            items = [Item(message_uid(room, message.id), "message", room) for message in some]
            await self._embeddings.save(dict(zip(items, vectors, strict=True)))
            advance(len(some))

    async def ask(self, conversation: Conversation, advance: Advance) -> list[Answer]:
        answers = []
        for some in _batches(conversation.questions, _EMBEDDED_AT_ONCE):
            read = [await self._search.read(question.text, room_id=_room(conversation)) for question in some]
            vectors = await self._embed([question.words for question in read], "query")
            for question, vector in zip(some, vectors, strict=True):
                answers.append(await self._answer(conversation, question, vector))
                advance(1)
        return answers

    async def _answer(self, conversation: Conversation, question: Asked, vector: Sequence[float]) -> Answer:
        """The question is read again, so that its time is that of a whole search."""
        started = time.perf_counter()
        hits = await self._search.find(
            question.text, vector, room_id=_room(conversation), kinds=("message",), limit=max(FIRST)
        )
        seconds = time.perf_counter() - started
        ids = [hit.id for hit in hits]
        found = tuple(len(question.evidence.intersection(ids[:first])) / len(question.evidence) for first in FIRST)
        return Answer(conversation.name, question.category, found, seconds)

    async def _embed(self, texts: Sequence[str], input_type: Literal["query", "passage"]) -> list[list[float]]:
        return await self._embedder.embed(texts, input_type)


def _batches(things: Sequence[ThingT], size: int) -> Iterable[Sequence[ThingT]]:
    return (things[start : start + size] for start in range(0, len(things), size))


def _room(conversation: Conversation) -> str:
    return f"room:{conversation.name}"


def _entry(message: Said) -> ClaimedEntry:
    said = NewMessage(message.id, "user", message.text, message.speaker, None, message.sent_at)
    return ClaimedEntry(0, b"", said)


def _text(room: str, message: Said) -> str:
    """What the digest embeds for a message."""
    return embedding_text(
        ArchivedMessage(room, 0, message.id, "user", message.text, message.speaker, message.sent_at), None
    )


def _document(conversations: Sequence[Conversation], answers: Sequence[Answer], model: str) -> dict[str, object]:
    seconds = sorted(answer.seconds for answer in answers)
    return {
        "conversations": len(conversations),
        "messages": sum(len(one.messages) for one in conversations),
        "questions": len(answers),
        "embedding_model": model,
        **_recall(answers),
        "by_category": _by(answers, list(CATEGORIES.values()), lambda answer: answer.category),
        "by_conversation": _by(answers, [one.name for one in conversations], lambda answer: answer.conversation),
        "searches_per_second": round(len(seconds) / sum(seconds), 1),
        "p50_ms": round(statistics.median(seconds) * 1000, 2),
        "p95_ms": round(seconds[int(len(seconds) * 0.95)] * 1000, 2),
    }


def _recall(answers: Sequence[Answer]) -> dict[str, float]:
    """The mean over the questions, each of which counts the same."""
    return {
        f"recall_at_{first}": round(statistics.fmean(answer.found[index] for answer in answers), 4)
        for index, first in enumerate(FIRST)
    }


def _by(answers: Sequence[Answer], names: Sequence[str], name: Callable[[Answer], str]) -> dict[str, object]:
    parts = {one: [answer for answer in answers if name(answer) == one] for one in names}
    return {one: {"questions": len(part), **_recall(part)} for one, part in parts.items() if part}


def _show(output: Output, document: dict[str, object]) -> None:
    asked = f"{document['questions']} questions over {document['messages']} messages"
    output.print(f"{asked}, vectors of {document['embedding_model']}")
    parts = {"all": document, **_parts(document, "by_category"), **_parts(document, "by_conversation")}
    output.table(
        ("questions", "", *(f"recall@{first}" for first in FIRST)),
        (
            (part["questions"], name, *(f"{part[f'recall_at_{first}']:.3f}" for first in FIRST))
            for name, part in parts.items()
        ),
    )
    output.print(
        f"{document['searches_per_second']} searches a second, p50 {document['p50_ms']} ms, p95 {document['p95_ms']} ms"
    )


def _parts(document: dict[str, object], name: str) -> dict[str, dict[str, object]]:
    parts = document[name]
    return parts if isinstance(parts, dict) else {}
