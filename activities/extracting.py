"""Asks for memories, and decides with what was written down what to save."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activities.model_answers import RecordedModel, answer_in
from services.domain.errors import TransientError
from services.domain.extraction.answers import SCHEMA
from services.domain.extraction.interpretation import interpret
from services.domain.extraction.known import freeze, thaw
from services.domain.extraction.owners import persons
from services.domain.extraction.showing import numbered, numbered_known, usable
from services.domain.memories import NewMemory, Owner
from services.domain.messages import ArchivedMessage
from services.postgres.archive.answers import AnswerKey, Recorded, RecordedAnswer
from services.postgres.archive.chunks import WaitingChunk
from services.postgres.archive.digests import Known
from services.prompts import prompt, render

STEP = "extract"


@dataclass(frozen=True, slots=True)
class OwnersMemories:
    """What to save of one owner, in the order in which it was said."""

    owner: Owner
    memories: tuple[NewMemory, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What to save of a chunk; where it `is_new` nothing of it was saved before."""

    memories: tuple[OwnersMemories, ...]
    is_new: bool = False


class AnswerErasedError(TransientError):
    """What was answered to an extracted chunk is gone: it has to be asked for again."""


class Extractor:
    """Every answer is written down before it is used, with what the model was shown: a retry decides alike."""

    def __init__(self, model: RecordedModel, *, chunk_tokens: int) -> None:
        self._model = model
        self._chunk_tokens = chunk_tokens
        self._extract = prompt("extract")

    async def extract(self, chunk: WaitingChunk, people: Sequence[Owner], known: Known, *, run_id: str) -> Decided:
        """Ask for the memories in a chunk, unless that was asked before; give what to save of these `people`."""
        if not people:
            return Decided(())
        talk = usable(chunk.messages)
        key, answers = self._model.key(chunk.id, STEP, self._extract), known.answers
        if key not in answers:
            answers = await self._ask(key, talk, people, known, run_id)
        memories = await asyncio.to_thread(_memories, key, answers[key], talk, run_id)
        return Decided(memories, is_new=known.is_first)

    async def decided(self, chunk: WaitingChunk, *, run_id: str) -> Decided:
        """Give what to save of a chunk that was extracted. Raises `AnswerErasedError`."""
        found = await self._model.newest(chunk.id, STEP)
        if found is None:
            raise AnswerErasedError("a memory that the model was shown was erased, and its answer with it")
        return Decided(await asyncio.to_thread(_memories, *found, usable(chunk.messages), run_id))

    async def probe(self) -> None:
        """Ask for nothing, held to the same schema, to learn whether the model answers anybody."""
        messages = render(self._extract, known=numbered_known([]), transcript="1. user: Hello")
        await self._model.probe(messages, json_schema=SCHEMA)

    async def _ask(
        self, key: AnswerKey, talk: Sequence[ArchivedMessage], people: Sequence[Owner], known: Known, run_id: str
    ) -> Recorded:
        transcript = await asyncio.to_thread(numbered, talk, self._chunk_tokens)
        said = await self._model.ask(
            render(self._extract, known=numbered_known(known.memories), transcript=transcript),
            tenant=str(known.rights.company or people[0]),
            purpose=STEP,
            json_schema=SCHEMA,
        )
        shown: dict[str, Any] = {**freeze(known.memories, known.rights), "asked_at": datetime.now(UTC).isoformat()}
        return await self._model.record(key, answer_in(said.text), shown, said, run_id=run_id)


def people_in(chunk: WaitingChunk) -> list[Owner]:
    """Name whose turns these are: of whom something may be remembered."""
    return list(dict.fromkeys(person for person in persons(usable(chunk.messages)) if person))


def _memories(
    key: AnswerKey, answer: RecordedAnswer, talk: Sequence[ArchivedMessage], run_id: str
) -> tuple[OwnersMemories, ...]:
    """Decide what to save, by owner."""
    not_after = datetime.fromisoformat(answer.shown["asked_at"])
    decisions = interpret(answer.text, talk, *thaw(answer.shown))
    said: dict[Owner, list[NewMemory]] = {}
    for decision in decisions:
        memory = decision.memory(key.prompt_version, key.model, run_id=run_id, not_after=not_after)
        said.setdefault(decision.owner, []).append(memory)
    return tuple(OwnersMemories(owner, tuple(memories)) for owner, memories in said.items())
