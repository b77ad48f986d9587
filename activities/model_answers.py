"""Asks the chat model, and writes down what of its answer is worth it."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from temporalio import activity

from services.domain.errors import TransientError
from services.llm_proxy.client import Completion, ModelClient
from services.postgres.archive.answers import AnswerKey, Answers, Recorded, RecordedAnswer
from services.prompts import Prompt

# Small models repeat themselves without it.
FREQUENCY_PENALTY = 0.5
# Thoughts may be cut off before they end; some models send the end of them only.
_THOUGHTS = re.compile(r"^.*</think>|<think>.*$", re.DOTALL)


class RecordedModel:
    """A model whose every answer is written down before it is used; a recorded one is never asked for again."""

    def __init__(self, model: ModelClient, answers: Answers, *, name: str, answer_tokens: int) -> None:
        self._model = model
        self._answers = answers
        self.name = name
        self._answer_tokens = answer_tokens

    def key(self, chunk: UUID, step: str, asked: Prompt) -> AnswerKey:
        return AnswerKey(chunk, step, asked.version, self.name)

    async def newest(self, chunk: UUID, step: str) -> tuple[AnswerKey, RecordedAnswer] | None:
        """Give the newest answer to a step, whichever prompt and model it was of."""
        return await self._answers.newest(chunk, step)

    async def ask(
        self,
        messages: Sequence[dict[str, str]],
        *,
        tenant: str,
        purpose: str,
        json_schema: dict[str, Any] | None = None,
    ) -> Completion:
        if activity.in_activity() and activity.is_worker_shutdown():
            # It has time for the call that it is at; a call that is begun now could be cut off, and paid for again.
            raise TransientError("the worker stops", retry_after=0.1)
        return await self._model.complete(
            model=self.name,
            messages=messages,
            max_tokens=self._answer_tokens,
            json_schema=json_schema,
            frequency_penalty=FREQUENCY_PENALTY,
            tenant=tenant,
            purpose=purpose,
        )

    async def record(
        self, key: AnswerKey, text: str, shown: dict[str, Any], said: Completion, *, run_id: str
    ) -> Recorded:
        """Write down the `text` of what was said, with what the model was `shown` besides the chunk.

        Give every answer to the chunk that stands then: whoever was at it at the same time may have been first.
        """
        return await self._answers.record(
            key,
            RecordedAnswer(text, shown),
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
            run_id=run_id,
        )

    async def probe(self, messages: Sequence[dict[str, str]], *, json_schema: dict[str, Any] | None = None) -> None:
        """Ask for a single word, to learn whether the model answers anybody."""
        await self._model.complete(
            model=self.name, messages=messages, max_tokens=1, json_schema=json_schema, purpose="probe"
        )


def answer_in(text: str) -> str:
    """Leave out what a model thought aloud and what Postgres cannot hold."""
    return _THOUGHTS.sub("", text).replace("\x00", "").strip()
