"""Asks for summaries, checks them against what was said, and falls back on what was said."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from activities.model_answers import answer_in
from services.domain.grounding import keep_grounded_sentences
from services.domain.languages import language_of
from services.domain.messages import ArchivedMessage
from services.domain.rolling import rolling_input
from services.domain.transcripts import shorten, transcript
from services.domain.words import whole_sentences
from services.extractive import extract_rolling, extract_summary
from services.llm_proxy.client import Completion, ModelClient
from services.postgres.answers import AnswerKey, Answers, RecordedAnswer
from services.postgres.chunks import WaitingChunk
from services.postgres.summaries import Summaries, Summary
from services.prompts import prompt, render

ROLLING_CHARACTERS = 2_000
# Small models repeat themselves without it.
FREQUENCY_PENALTY = 0.5


class Summariser:
    """Every answer is written down before it is used; a recorded one is never asked for again."""

    def __init__(
        self,
        model: ModelClient,
        answers: Answers,
        summaries: Summaries,
        *,
        name: str,
        chunk_tokens: int,
        answer_tokens: int,
    ) -> None:
        self._model = model
        self._answers = answers
        self._summaries = summaries
        self._name = name
        self._chunk_tokens = chunk_tokens
        self._answer_tokens = answer_tokens
        self._summarise = prompt("summarise")
        self._roll = prompt("roll")

    async def summarise(self, chunk: WaitingChunk, talk: Sequence[ArchivedMessage], *, run_id: str) -> Summary:
        """Summarise a chunk; extractively where the model says what the messages do not bear out."""
        key = AnswerKey(chunk.id, "summarise", self._summarise.version, self._name)
        answer = await self._answers.find(key)
        if answer is None:
            text = await asyncio.to_thread(lambda: shorten(transcript(talk), self._chunk_tokens))
            messages = render(self._summarise, transcript=text, language=_language(text))
            answer = await self._ask(key, messages, {}, chunk.tenant, run_id)
        grounded = await asyncio.to_thread(_bears_out, talk, answer.text)
        return Summary(
            text=answer.text if grounded else await asyncio.to_thread(extract_summary, talk),
            made_by="model" if grounded else "extractive",
            covers_from=chunk.messages[0].seq,
            covers_to=chunk.messages[-1].seq,
            prompt_version=self._summarise.version,
            model=self._name,
        )

    async def roll(self, chunk: WaitingChunk, part: Summary, *, run_id: str) -> Summary:
        """Renew the room's rolling summary with a chunk's; the first one is the chunk's own, and asks nobody.

        A chunk that comes late, out of quarantine, is added to what was said after it.
        """
        key = AnswerKey(chunk.id, "roll", self._roll.version, self._name)
        answer = await self._answers.find(key)
        if answer is None:
            previous = await self._summaries.rolling(chunk.room_id, besides=chunk.id)
            if previous is None:
                return replace(part, prompt_version=self._roll.version)
            shown = {
                "previous": previous.text,
                "part": part.text,
                "covers_from": min(previous.covers_from, part.covers_from),
                "covers_to": max(previous.covers_to, part.covers_to),
            }
            so_far, parts = rolling_input(previous.text, [part.text], max_tokens=self._chunk_tokens)
            messages = render(self._roll, previous=so_far, parts=parts, language=_language(parts))
            answer = await self._ask(key, messages, shown, chunk.tenant, run_id)
        before, new = str(answer.shown["previous"]), str(answer.shown["part"])
        sources = [replace(chunk.messages[-1], role="system", content=text, tool_calls=()) for text in (before, new)]
        grounded = await asyncio.to_thread(_bears_out, sources, answer.text)
        return replace(
            part,
            text=answer.text
            if grounded
            else await asyncio.to_thread(extract_rolling, before, [new], ROLLING_CHARACTERS),
            made_by="model" if grounded else "extractive",
            covers_from=answer.shown["covers_from"],
            covers_to=answer.shown["covers_to"],
            prompt_version=self._roll.version,
        )

    async def probe(self) -> None:
        """Ask for a single word, to learn whether the model answers anybody."""
        messages = [{"role": "user", "content": "Say yes."}]
        await self._model.complete(model=self._name, messages=messages, max_tokens=1, purpose="probe")

    async def _ask(
        self, key: AnswerKey, messages: list[dict[str, str]], shown: dict[str, object], tenant: str, run_id: str
    ) -> RecordedAnswer:
        said = await self._model.complete(
            model=self._name,
            messages=messages,
            max_tokens=self._answer_tokens,
            frequency_penalty=FREQUENCY_PENALTY,
            tenant=tenant,
            purpose=key.step,
        )
        return await self._answers.record(
            key,
            RecordedAnswer(_answer_in(said), shown),
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
            run_id=run_id,
        )


def _answer_in(said: Completion) -> str:
    """Leave out a sentence that was cut off, too."""
    text = answer_in(said.text)
    return whole_sentences(text) if said.finish_reason == "length" else text


def _language(text: str) -> str:
    found = language_of(text)
    return "the language of the conversation" if found == "simple" else found.capitalize()


def _bears_out(sources: Sequence[ArchivedMessage], text: str) -> bool:
    kept, dropped = keep_grounded_sentences(text, sources)
    return bool(kept) and not dropped
