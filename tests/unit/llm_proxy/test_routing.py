from collections.abc import AsyncGenerator
from typing import Any

import pytest

from services.llm_proxy.errors import ProxyError, unreachable
from services.llm_proxy.routing import Router
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, ModelCard


class FakeUpstream:
    """Lists what it is told to, or fails; is never asked for anything else."""

    def __init__(self, name: str, models: list[str] | None) -> None:
        self.name = name
        self.offered = models
        self.is_down = False
        self.listed = 0

    async def models(self) -> list[ModelCard] | None:
        self.listed += 1
        if self.is_down:
            raise unreachable(self.name)
        return None if self.offered is None else [ModelCard(id=model, owned_by=self.name) for model in self.offered]

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        raise NotImplementedError

    def stream(self, request: ChatRequest) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        raise NotImplementedError


async def test_the_first_upstream_that_lists_a_model_gets_it() -> None:
    first, second = FakeUpstream("first", ["a", "b"]), FakeUpstream("second", ["b", "c"])
    router = Router([first, second])
    assert [(await router.upstream_for(model)).name for model in "abc"] == ["first", "first", "second"]
    assert [(card.id, card.owned_by) for card in await router.cards()] == [
        ("a", "first"),
        ("b", "first"),
        ("c", "second"),
    ]


async def test_an_exact_name_goes_before_latest() -> None:
    router = Router([FakeUpstream("tagged", ["m:latest"]), FakeUpstream("plain", ["m"])])
    assert (await router.upstream_for("m")).name == "plain"
    assert (await router.upstream_for("m:latest")).name == "tagged"


async def test_an_upstream_without_a_list_is_the_last_resort() -> None:
    router = Router([FakeUpstream("open", None), FakeUpstream("listing", ["a"])])
    assert (await router.upstream_for("a")).name == "listing"
    assert (await router.upstream_for("z")).name == "open"
    assert router.answers_for("z")


async def test_an_unknown_model_is_an_outage_while_an_upstream_is_down() -> None:
    up, down = FakeUpstream("up", ["a"]), FakeUpstream("down", ["b"])
    down.is_down = True
    router = Router([up, down])
    assert (await router.upstream_for("a")).name == "up"
    with pytest.raises(ProxyError) as raised:
        await router.upstream_for("b")
    assert raised.value.status == 502
    assert [card.id for card in await router.cards()] == ["a"]


async def test_a_model_stays_with_its_upstream_while_that_is_down() -> None:
    only = FakeUpstream("only", ["a"])
    router = Router([only])
    await router.refresh(0)
    only.is_down = True
    await router.refresh(0)
    assert (await router.upstream_for("a")).name == "only"
    assert not router.answers_for("a")


async def test_unknown_names_do_not_flood_the_upstreams() -> None:
    only = FakeUpstream("only", ["a"])
    router = Router([only])
    for number in range(20):
        with pytest.raises(ProxyError) as raised:
            await router.upstream_for(f"unknown-{number}")
        assert raised.value.status == 404
    assert only.listed == 1
