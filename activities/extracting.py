"""Asks for memories, and decides with what was written down what to save."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activities.model_answers import answer_in
from services.domain.errors import TransientError
from services.domain.extraction.answers import SCHEMA
from services.domain.extraction.decisions import Decision
from services.domain.extraction.interpretation import interpret
from services.domain.extraction.known import freeze, thaw
from services.domain.extraction.owners import persons
from services.domain.extraction.showing import numbered, numbered_known, usable
from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner
from services.domain.messages import ArchivedMessage
from services.llm_proxy.client import ModelClient
from services.postgres.answers import AnswerKey, Answers, RecordedAnswer
from services.postgres.chunks import WaitingChunk
from services.postgres.known_memories import KnownMemories
from services.prompts import prompt, render

STEP = "extract"
MOST_KNOWN = 12
# Small models repeat themselves without it.
FREQUENCY_PENALTY = 0.5


@dataclass(frozen=True, slots=True)
class OwnersMemories:
    """What to save of one owner, in the order in which it was said."""

    owner: Owner
    memories: tuple[NewMemory, ...]


class Extractor:
    """Every answer is written down before it is used, with what the model was shown: a retry decides alike."""

    def __init__(
        self,
        model: ModelClient,
        answers: Answers,
        known: KnownMemories,
        *,
        name: str,
        chunk_tokens: int,
        answer_tokens: int,
    ) -> None:
        self._model = model
        self._answers = answers
        self._known = known
        self._name = name
        self._chunk_tokens = chunk_tokens
        self._answer_tokens = answer_tokens
        self._extract = prompt("extract")

    async def extract(self, chunk: WaitingChunk, *, run_id: str) -> bool:
        """Ask for the memories in a chunk, unless that was asked before; say whether there is something to save.

        Its messages must have their vectors already: they find what is known.
        """
        talk = usable(chunk.messages)
        people = _people(talk)
        if not people:
            return False
        key = AnswerKey(chunk.id, STEP, self._extract.version, self._name)
        answer = await self._answers.find(key) or await self._ask(key, talk, people, run_id)
        return bool(await asyncio.to_thread(_decide, answer, talk))

    async def decided(self, chunk: WaitingChunk, *, run_id: str) -> list[OwnersMemories]:
        """Give what to save of a chunk that was extracted."""
        found = await self._answers.newest(chunk.id, STEP)
        if found is None:
            raise TransientError("no answer is recorded for the chunk")
        key, answer = found
        decisions = await asyncio.to_thread(_decide, answer, usable(chunk.messages))
        not_after = datetime.fromisoformat(answer.shown["asked_at"])
        memories = [
            (decision.owner, decision.memory(key.prompt_version, key.model, run_id=run_id, not_after=not_after))
            for decision in decisions
        ]
        owners = dict.fromkeys(owner for owner, _ in memories)
        return [
            OwnersMemories(owner, tuple(memory for whose, memory in memories if whose == owner)) for owner in owners
        ]

    async def probe(self) -> None:
        """Ask for nothing, held to the same schema, to learn whether the model answers anybody."""
        messages = render(self._extract, known=numbered_known([]), transcript="1. user: Hello")
        await self._model.complete(
            model=self._name, messages=messages, max_tokens=1, json_schema=SCHEMA, purpose="probe"
        )

    async def _ask(
        self, key: AnswerKey, talk: Sequence[ArchivedMessage], people: Sequence[Owner], run_id: str
    ) -> RecordedAnswer:
        room_id = talk[0].room_id
        rights = await self._known.rights_in(room_id, people)
        owners = [*people, *([rights.company] if rights.company else [])]
        uids = [message_uid(room_id, message.id) for message in talk]
        known = await self._known.nearest(owners, uids, limit=MOST_KNOWN)
        transcript = await asyncio.to_thread(numbered, talk, self._chunk_tokens)
        said = await self._model.complete(
            model=self._name,
            messages=render(self._extract, known=numbered_known(known), transcript=transcript),
            max_tokens=self._answer_tokens,
            json_schema=SCHEMA,
            frequency_penalty=FREQUENCY_PENALTY,
            tenant=str(rights.company or people[0]),
            purpose=STEP,
        )
        shown: dict[str, Any] = {**freeze(known, rights), "asked_at": datetime.now(UTC).isoformat()}
        return await self._answers.record(
            key,
            RecordedAnswer(answer_in(said.text), shown),
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
            run_id=run_id,
        )


def _people(talk: Sequence[ArchivedMessage]) -> list[Owner]:
    return list(dict.fromkeys(person for person in persons(talk) if person))


def _decide(answer: RecordedAnswer, talk: Sequence[ArchivedMessage]) -> list[Decision]:
    known, rights = thaw(answer.shown)
    return interpret(answer.text, talk, known, rights)
