"""A fixed model that finds what people keep, and writes down each answer that it gave; a mood makes it fail."""

import json
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.openai_server import Fault, OpenAIServer, Reset, Slow, Status
from tests.support.storm.talk import FACT, TAG

MOODS: dict[str, Fault] = {
    "overloaded": Status(429, retry_after="1"),
    "broken": Status(500),
    "late": Slow(30),
    "resetting": Reset(),
}
# So often a request fails with nothing else being wrong.
STRAY_FAULTS = 0.02
# A line that shows a message, up to the next one.
_SHOWN = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that was given: `tag` is the first message that the model was shown of the chunk."""

    at: datetime
    step: str
    tag: str


class FixedModel:
    def __init__(self, seed: int) -> None:
        self.answered: list[Answered] = []
        self.server = OpenAIServer(answer=self._answer)
        self.server.refuses = self._stray
        self._chance = random.Random(seed)

    async def change(self, mood: str | None) -> None:
        """Take on a mood; None is well again."""
        if mood == "away":
            await self.server.down()
            return
        await self.server.up()
        self.server.fault = MOODS[mood] if mood else None

    def _stray(self, _: dict[str, Any]) -> Fault | None:
        return Status(500) if self._chance.random() < STRAY_FAULTS else None

    def _answer(self, request: dict[str, Any]) -> str:
        shown = str(request["messages"][-1]["content"])
        step = "extract" if "response_format" in request else "roll" if "<parts>" in shown else "summarise"
        of_chunk = shown.partition("<parts>" if step == "roll" else "<conversation>")[2]
        if found := TAG.search(of_chunk):
            self.answered.append(Answered(datetime.now(UTC), step, found.group()))
        if step == "extract":
            return json.dumps({"memories": [_proposal(*line) for line in _SHOWN.findall(of_chunk) if keeps(line[1])]})
        # A message as it stands is borne out by itself.
        return of_chunk[found.start() :].splitlines()[0] if found else "Yes."


def keeps(text: str) -> tuple[str, str] | None:
    """Give what somebody says that they keep: a thing, and the sentence to remember."""
    found = FACT.search(text)
    return (found.group(2), f"The user keeps {found.group(1)} {found.group(2)}.") if found else None


def _proposal(number: str, text: str) -> dict[str, Any]:
    thing, sentence = keeps(text) or ("", "")
    return {
        "action": "new",
        "kind": "semantic",
        "slug": f"keeps_{thing}",
        "text": sentence,
        "sources": [int(number)],
        "known": None,
    }
