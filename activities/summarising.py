"""Asks for summaries, checks them against what was said, and falls back on what was said."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from activities.model_answers import RecordedModel, answer_in
from services.domain.grounding import keep_grounded_sentences
from services.domain.languages import language_of
from services.domain.messages import ArchivedMessage
from services.domain.rolling import rolling_input
from services.domain.transcripts import shorten, transcript
from services.domain.words import whole_sentences
from services.extractive import extract_rolling, extract_summary
from services.llm_proxy.client import Completion
from services.postgres.archive.answers import AnswerKey, Recorded
from services.postgres.archive.chunks import WaitingChunk
from services.postgres.archive.digests import Known
from services.postgres.archive.summaries import Kind, SoFar, Summary
from services.prompts import prompt, render

ROLLING_CHARACTERS = 2_000


class Summariser:
    """Every answer is a recorded one."""

    def __init__(self, model: RecordedModel, *, chunk_tokens: int) -> None:
        self._model = model
        self._chunk_tokens = chunk_tokens
        self._summarise = prompt("summarise")
        self._roll = prompt("roll")

    async def summarise(
        self, chunk: WaitingChunk, talk: Sequence[ArchivedMessage], known: Known, *, run_id: str
    ) -> dict[Kind, Summary]:
        """Summarise a chunk, and renew the room's rolling summary with that.

        Extractively where the model says what the messages do not bear out.
        """
        key, answers = self._model.key(chunk.id, "summarise", self._summarise), known.answers
        if key not in answers:
            text = await asyncio.to_thread(lambda: shorten(transcript(talk), self._chunk_tokens))
            messages = render(self._summarise, transcript=text, language=_language(text))
            answers = await self._ask(key, messages, {}, chunk.tenant, run_id)
        said = answers[key].text
        grounded = await asyncio.to_thread(_bears_out, talk, said)
        part = Summary(
            text=said if grounded else await asyncio.to_thread(extract_summary, talk),
            made_by="model" if grounded else "extractive",
            covers_from=chunk.messages[0].seq,
            covers_to=chunk.messages[-1].seq,
            prompt_version=self._summarise.version,
            model=self._model.name,
        )
        rolling = await self._rolling(chunk, part, replace(known, answers=answers), run_id=run_id)
        return {"chunk": part, "rolling": rolling}

    async def _rolling(self, chunk: WaitingChunk, part: Summary, known: Known, *, run_id: str) -> Summary:
        """Renew the room's rolling summary with a chunk's; the first one is the chunk's own, and asks nobody.

        A chunk that comes late, out of quarantine, is added to what was said after it.
        """
        key, answers = self._model.key(chunk.id, "roll", self._roll), known.answers
        if key not in answers:
            previous, *new = _to_roll(known.so_far, part)
            if not new:
                return replace(part, prompt_version=self._roll.version)
            texts = [one.text for one in new]
            shown = {
                "previous": previous.text,
                "part": "\n".join(texts),
                "covers_from": min(one.covers_from for one in (previous, *new)),
                "covers_to": max(one.covers_to for one in (previous, *new)),
            }
            so_far, parts = rolling_input(previous.text, texts, max_tokens=self._chunk_tokens)
            messages = render(self._roll, previous=so_far, parts=parts, language=_language(parts))
            answers = await self._ask(key, messages, shown, chunk.tenant, run_id)
        answer = answers[key]
        before, after = str(answer.shown["previous"]), str(answer.shown["part"])
        sources = [replace(chunk.messages[-1], role="system", content=text, tool_calls=()) for text in (before, after)]
        grounded = await asyncio.to_thread(_bears_out, sources, answer.text)
        return replace(
            part,
            text=answer.text
            if grounded
            else await asyncio.to_thread(extract_rolling, before, [after], ROLLING_CHARACTERS),
            made_by="model" if grounded else "extractive",
            covers_from=answer.shown["covers_from"],
            covers_to=answer.shown["covers_to"],
            prompt_version=self._roll.version,
        )

    async def probe(self) -> None:
        """Ask for a single word, to learn whether the model answers anybody."""
        await self._model.probe([{"role": "user", "content": "Say yes."}])

    async def _ask(
        self, key: AnswerKey, messages: list[dict[str, str]], shown: dict[str, object], tenant: str, run_id: str
    ) -> Recorded:
        said = await self._model.ask(messages, tenant=tenant, purpose=key.step)
        return await self._model.record(key, _answer_in(said), shown, said, run_id=run_id)


def _to_roll(so_far: SoFar, part: Summary) -> list[Summary]:
    """Give the last rolling summary, then what is to be added to it in its order.

    That is the chunk's alone, but where rolling summaries were dropped because messages were forgotten.
    """
    new = sorted([*so_far.parts, part], key=lambda one: one.covers_from)
    return [so_far.rolling, *new] if so_far.rolling else new


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
