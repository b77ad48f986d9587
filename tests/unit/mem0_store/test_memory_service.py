"""The service on a store of fixed behaviour: what is refused, what is counted, and that one never stops another."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.domain.errors import (
    InvalidInputError,
    MemoryStoreUnavailableError,
    OwnerUnknownError,
    PermanentError,
)
from services.domain.memories import MAX_CONTENT, NewMemory, Owner, SavedMemory, owner_of
from services.mem0_store.port import Outcome, ReconcilePage
from services.mem0_store.singly import save_singly
from services.memories.saving import MemoryInput, MemoryService

USER = "ana.rojas"


class FakeStore:
    """Remembers what it is given; fails for the slugs that it is told to."""

    def __init__(self, failures: dict[str, Exception] | None = None) -> None:
        self.saved: list[tuple[Owner, NewMemory]] = []
        self.at_once = 0
        self.most_at_once = 0
        self._failures = failures or {}

    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if memory.slug in self._failures:
            raise self._failures[memory.slug]
        self.saved.append((owner, memory))
        if memory.content is None:
            return SavedMemory(memory.slug, "ended", None)
        return SavedMemory(memory.slug, "created", f"mem0-{memory.slug}")

    async def save_many(
        self,
        said: Sequence[tuple[Owner, NewMemory]],
        *,
        are_new: bool = False,  # noqa: ARG002
    ) -> list[Outcome]:
        return await save_singly(self, said)

    async def erase(self, owner: Owner, entities: Sequence[str]) -> int:
        raise NotImplementedError

    async def settle(self, owner: Owner, slug: str) -> None:
        raise NotImplementedError

    async def reconcile_one(self, memory_id: str) -> bool:
        raise NotImplementedError

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        raise NotImplementedError


def test_the_drift_is_what_did_not_agree() -> None:
    page = ReconcilePage(checked=99, missing_in_mem0=1, missing_in_brain=2, texts_differ=4, duplicates=8, foreign=16)
    assert page.drift == 15


async def test_memories_are_saved_under_their_owner() -> None:
    store = FakeStore()
    service = MemoryService(store)
    company = uuid4()
    user_result = await service.save_user_memories(USER, [{"slug": "user_city", "content": "Vive en Lima"}])
    company_result = await service.save_company_memories(
        company, [MemoryInput(slug="company_tax_regime", content="14D", kind="procedural", metadata={"from": "row"})]
    )
    assert user_result.model_dump() == {
        "success": True,
        "saved_count": 1,
        "failed_count": 0,
        "skipped_count": 0,
        "errors": [],
        "results": [{"slug": "user_city", "outcome": "created", "memory_id": "mem0-user_city"}],
    }
    assert company_result.success
    (owner, first), (company_owner, second) = store.saved
    assert owner == owner_of("user", USER)
    assert owner.external_id == USER
    assert company_owner == Owner("company", company)
    assert (first.kind, first.made_by, first.content) == ("semantic", "caller", "Vive en Lima")
    assert (second.kind, second.metadata) == ("procedural", {"from": "row"})


@pytest.mark.parametrize(
    ("memory", "field", "takes"),
    [
        ({"slug": "Not A Slug", "content": "x"}, "slug", "lower-case letters"),
        ({"slug": "a" * 256, "content": "x"}, "slug", "255"),
        ({"content": "x"}, "slug", "required"),
        ({"slug": 5, "content": "x"}, "slug", "string"),
        ({"slug": "a"}, "content", "required"),
        ({"slug": "a", "content": None}, "content", "string"),
        ({"slug": "a", "content": " \n"}, "content", str(MAX_CONTENT)),
        ({"slug": "a", "content": "x" * (MAX_CONTENT + 1)}, "content", str(MAX_CONTENT)),
        ({"slug": "a", "content": "no\0ne"}, "content", "text"),
        ({"slug": "a", "content": "half \ud83d"}, "content", "text"),
        ({"slug": "a", "content": "x", "kind": "eternal"}, "kind", "'episodic', 'semantic' or 'procedural'"),
        ({"slug": "a", "content": "x", "asserted_at": "2026-01-01T00:00:00"}, "asserted_at", "timezone"),
        ({"slug": "a", "content": "x", "metadata": {"a": object()}}, "metadata", "JSON"),
        ({"slug": "a", "content": "x", "metadata": {"a": "no\0ne"}}, "metadata", "JSON"),
        ({"slug": "a", "content": "x", "metadata": {"a": float("nan")}}, "metadata", "JSON"),
        ({"slug": "a", "content": "x", "owner": "someone"}, "memory", "takes slug, content, kind"),
        (["slug", "content"], "memory", "valid dictionary"),
    ],
)
async def test_a_wrong_memory_names_the_field_and_what_it_takes(memory: Any, field: str, takes: str) -> None:
    store = FakeStore()
    result = await MemoryService(store).save_user_memories(USER, [memory, {"slug": "right", "content": "kept"}])
    (error,) = result.errors
    assert error.field == field
    assert error.reason.startswith(f"{field}: ")
    assert takes in error.reason
    assert not error.transient
    assert (result.success, result.saved_count, result.failed_count) == (False, 1, 1)
    assert [entry.outcome for entry in result.results] == ["failed", "created"]
    assert [saved.slug for _, saved in store.saved] == ["right"]


@pytest.mark.parametrize("user_id", ["", "ana@example.org", "a b", "x" * 201, "{}"])
async def test_an_owner_that_is_no_id_is_refused_as_a_whole(user_id: str) -> None:
    with pytest.raises(InvalidInputError, match="user_id"):
        await MemoryService(FakeStore()).save_user_memories(user_id, [])


async def test_one_that_fails_never_stops_the_others() -> None:
    secret = "Ana's secret"
    store = FakeStore(
        {
            "late": MemoryStoreUnavailableError("Mem0 did not answer", retry_after=7),
            "unknown": OwnerUnknownError("the owner is not there yet"),
            "never": PermanentError("cannot be stored"),
            "bug": KeyError(secret),
        }
    )
    slugs = ["a", "late", "b", "unknown", "c", "never", "d", "bug", "e"]
    result = await MemoryService(store).save_user_memories(USER, [{"slug": slug, "content": "x"} for slug in slugs])
    assert [entry.slug for entry in result.results] == slugs
    assert [entry.slug for entry in result.results if entry.outcome == "created"] == ["a", "b", "c", "d", "e"]
    assert {error.slug: (error.transient, error.retry_after) for error in result.errors} == {
        "late": (True, 7.0),
        "unknown": (True, None),
        "never": (False, None),
        "bug": (True, None),
    }
    assert (result.saved_count, result.failed_count, result.success) == (5, 4, False)
    assert secret not in result.model_dump_json()


async def test_an_unexpected_error_is_logged_without_what_it_quotes(caplog: pytest.LogCaptureFixture) -> None:
    await MemoryService(FakeStore({"bug": KeyError("Ana's secret")})).save_user_memories(
        USER, [{"slug": "bug", "content": "x"}]
    )
    assert "unexpected KeyError" in caplog.text
    assert "secret" not in caplog.text


async def test_many_are_saved_at_once_but_not_all() -> None:
    store = FakeStore()
    await MemoryService(store).save_user_memories(USER, [{"slug": f"s{n}", "content": "x"} for n in range(100)])
    assert len(store.saved) == 100
    assert 1 < store.most_at_once <= 8


async def test_what_is_said_twice_of_one_slug_is_saved_in_the_order_given() -> None:
    store = FakeStore()
    await MemoryService(store).save_user_memories(USER, [{"slug": f"s{n % 3}", "content": f"{n}"} for n in range(60)])
    for slug in ("s0", "s1", "s2"):
        said = [memory for _, memory in store.saved if memory.slug == slug]
        assert [memory.content for memory in said] == [str(n) for n in range(60) if f"s{n % 3}" == slug]
        assert all(one.asserted_at < two.asserted_at for one, two in pairwise(said))


async def test_nobody_asserts_in_the_future() -> None:
    store = FakeStore()
    past, future = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
    await MemoryService(store).save(
        owner_of("user", USER),
        [NewMemory("past", "x", past), NewMemory("future", "x", future)],
    )
    asserted = {memory.slug: memory.asserted_at for _, memory in store.saved}
    assert asserted["past"] == past
    assert asserted["future"] <= datetime.now(UTC)


async def test_a_memory_that_is_deleted_ends_now() -> None:
    store = FakeStore()
    before = datetime.now(UTC)
    result = await MemoryService(store).delete(owner_of("user", USER), "user_city")
    assert result.results[0].outcome == "ended"
    ((_, ended),) = store.saved
    assert ended.content is None
    assert before <= ended.asserted_at <= datetime.now(UTC)


async def test_without_a_store_all_is_skipped_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    service = MemoryService(None)
    assert not service.is_configured
    caplog.set_level(logging.DEBUG)
    memories = [{"slug": f"s{n}", "content": "Ana's secret"} for n in range(50)]
    for _ in range(3):
        result = await service.save_user_memories(USER, memories)
        assert [entry.outcome for entry in result.results] == ["skipped"] * 50
        assert (result.saved_count, result.failed_count, result.skipped_count) == (0, 0, 50)
        assert result.success
    await service.save_company_memories(UUID(int=1), memories)
    await service.delete(owner_of("user", USER), "s1")
    (record,) = [record for record in caplog.records if record.name == "services.memories.saving"]
    assert "MEM0_BACKEND" in record.getMessage()
    assert "secret" not in caplog.text


async def test_a_cancelled_save_cancels_what_it_began() -> None:
    began = asyncio.Event()

    class Hanging(FakeStore):
        async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
            began.set()
            await asyncio.Event().wait()
            return await super().save(owner, memory)

    saving = asyncio.create_task(MemoryService(Hanging()).save_user_memories(USER, [{"slug": "a", "content": "x"}]))
    await began.wait()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert asyncio.all_tasks() == {asyncio.current_task()}
