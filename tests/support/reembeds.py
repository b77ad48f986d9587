"""Embedding models of different dimensions, and things that only a vector finds."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from afterturn_client.names import MEMORY_QUEUE
from temporalio.client import WorkflowHandle
from temporalio.testing import ActivityEnvironment

from activities.recall import RecallCheck
from activities.reembed_steps import FillInput, FillState, ModelInput, ReembedResult
from activities.reembedding import ReembedActivities
from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.llm_proxy.client import ModelClient
from services.llm_proxy.passages import embed_passages
from services.mem0_store.open_source import OpenSourceStore
from services.memories.searching import Searching
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.search.searching import HIT_KINDS
from services.postgres.vectors.models import EmbeddingModels
from services.postgres.vectors.shadow import ShadowVectors
from services.postgres.vectors.tables import Item, VectorTable, find_table
from services.postgres.vectors.written import Unembedded, Vectors, WrittenVectors
from services.resources import Resources
from tests.support.talk import BEGAN
from workflows.names import REEMBED, reembed_id
from workflows.reembed import Reembed

OLD, NEW = "embedding-model", "larger-model"
DIMENSIONS = {OLD: 32, NEW: 48, "third-model": 24}
ANA = owner_of("user", "ana")
_WORD = re.compile(r"[^\W\d_]{6,}")


def word(number: int) -> str:
    """Give a word that no other one resembles."""
    return "".join(chr(ord("a") + byte % 26) for byte in hashlib.sha256(str(number).encode()).digest()[:12])


def question(number: int) -> str:
    """Ask for a word without saying it: the models below understand words that are written backwards."""
    return word(number)[::-1]


def embed(text: str, request: dict[str, Any]) -> list[float]:
    """Add up a direction for each longer word; of a query, of each read backwards."""
    backwards = request.get("input_type") == "query"
    size = DIMENSIONS[request["model"]]
    total = [0.0] * size
    for found in _WORD.findall(text.lower()) or [text]:
        seed = hashlib.sha512(f"{request['model']} {found[::-1] if backwards else found}".encode()).digest()
        total = [part + (seed[place] - 127.5) for place, part in enumerate(total)]
    length = sum(part * part for part in total) ** 0.5
    return [part / length for part in total]


class World:
    """Messages of one room and memories of one person, numbered, each written as live work writes it."""

    def __init__(self, database: Database, client: ModelClient, store: OpenSourceStore) -> None:
        self.database = database
        self.client = client
        self.store = store
        self.vectors = WrittenVectors(database, OLD)
        self.searching = Searching(database, client, self.vectors)

    async def say(self, numbers: Iterable[int], room_id: str = "room:talk") -> None:
        await self._archive([_message(number) for number in numbers], room_id)

    async def say_text(self, id_: str, content: str) -> None:
        await self._archive([replace(_message(0), id=id_, content=content)], "room:talk")

    async def vectors_of(self, model: str) -> VectorTable:
        async with self.database.transaction() as session:
            found = await find_table(session, model)
        assert found is not None
        return found

    async def _archive(self, said: list[NewMessage], room_id: str) -> None:
        entries = [ClaimedEntry(place, b"", message) for place, message in enumerate(said)]
        await Archive(self.database).add(room_id, f"{room_id} {said[0].id}", entries, run_id="test")
        items = [Item(message_uid(room_id, message.id), "message", room_id) for message in said]
        texts = {item.id: message.content for item, message in zip(items, said, strict=True)}
        made: dict[str, dict[Item, list[float]]] = {}
        lacking: Unembedded | None = await self.missing(items)
        while lacking:
            vectors = await embed_passages(
                self.client,
                [texts[item.id] for item in lacking.items],
                model=lacking.model,
                beside=lacking.beside,
                purpose="test",
            )
            for model, each in vectors.items():
                made.setdefault(model, {}).update(zip(lacking.items, each, strict=True))
            lacking = await self.save(items, made)

    async def missing(self, items: Sequence[Item]) -> Unembedded:
        async with self.database.transaction() as session:
            return await self.vectors.missing_in(session, items)

    async def save(self, items: Sequence[Item], made: Mapping[str, Vectors]) -> Unembedded | None:
        async with self.database.transaction() as session:
            return await self.vectors.save_in(session, await self.vectors.hold(session), items, made)

    async def remember(self, number: int, *, slug: str | None = None, owner: Owner = ANA) -> None:
        said = NewMemory(slug=slug or f"m{number}", content=f"Ana likes {word(number)}.", asserted_at=_at(number))
        await self.store.save(owner, said)

    async def finds(self, number: int, kinds: Iterable[str] = HIT_KINDS) -> bool:
        """Whether it is the first that is found by its meaning alone."""
        found = await self.searching.find(question(number), kinds=kinds, limit=1)
        return bool(found.by_meaning and found.hits and word(number) in found.hits[0].text)

    async def switch_to(self, model: str) -> ReembedResult:
        """Do what the workflow does."""
        recall = RecallCheck(self.database, self.client, least=0.95, samples=20)
        steps = ReembedActivities(EmbeddingModels(self.database), ShadowVectors(self.database), recall, self.client)
        here = ActivityEnvironment()
        begun = await here.run(steps.begin_reembed, ModelInput(model=model))
        state = FillState()
        while True:
            while not state.finished:
                state = await here.run(steps.fill_vectors, FillInput(model=model, state=state))
            checked = await here.run(steps.check_recall, ModelInput(model=model))
            if (await here.run(steps.switch_model, ModelInput(model=model))).missing == 0:
                break
            state = state.again()
        return ReembedResult(
            model=model, switched=True, dimensions=begun.dimensions, embedded=state.embedded, recall=checked.recall
        )


def _message(number: int) -> NewMessage:
    return NewMessage(
        id=f"m{number}",
        role="user",
        content=f"It is about {word(number)}.",
        user_id="ana",
        company_id=None,
        sent_at=_at(number),
    )


def _at(number: int) -> datetime:
    return BEGAN + timedelta(minutes=number)


async def start_reembed(resources: Resources, model: str, **fields: Any) -> WorkflowHandle[Reembed, ReembedResult]:
    return await resources.temporal.start_workflow(
        REEMBED, {"model": model, **fields}, id=reembed_id(model), task_queue=MEMORY_QUEUE, result_type=ReembedResult
    )
