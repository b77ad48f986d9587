from collections.abc import AsyncGenerator
from typing import Any

import pytest

from services.llm_proxy.errors import ProxyError, unreachable
from services.llm_proxy.routing import Offer, Price, Router, Target
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
    assert [(await router.routes_for(model))[0].upstream.name for model in "abc"] == ["first", "first", "second"]
    assert [(card.id, card.owned_by) for card in await router.cards()] == [
        ("a", "first"),
        ("b", "first"),
        ("c", "second"),
    ]


async def test_an_exact_name_goes_before_latest() -> None:
    router = Router([FakeUpstream("tagged", ["m:latest"]), FakeUpstream("plain", ["m"])])
    assert (await router.routes_for("m"))[0].upstream.name == "plain"
    assert (await router.routes_for("m:latest"))[0].upstream.name == "tagged"


async def test_an_upstream_without_a_list_is_the_last_resort() -> None:
    router = Router([FakeUpstream("open", None), FakeUpstream("listing", ["a"])])
    assert (await router.routes_for("a"))[0].upstream.name == "listing"
    assert (await router.routes_for("z"))[0].upstream.name == "open"
    assert router.answers_for("z")


async def test_an_unknown_model_is_an_outage_while_an_upstream_is_down() -> None:
    up, down = FakeUpstream("up", ["a"]), FakeUpstream("down", ["b"])
    down.is_down = True
    router = Router([up, down])
    assert (await router.routes_for("a"))[0].upstream.name == "up"
    with pytest.raises(ProxyError) as raised:
        await router.routes_for("b")
    assert raised.value.status == 502
    assert [card.id for card in await router.cards()] == ["a"]


async def test_a_model_stays_with_its_upstream_while_that_is_down() -> None:
    only = FakeUpstream("only", ["a"])
    router = Router([only])
    await router.refresh(0)
    only.is_down = True
    await router.refresh(0)
    assert (await router.routes_for("a"))[0].upstream.name == "only"
    assert not router.answers_for("a")


async def test_unknown_names_do_not_flood_the_upstreams() -> None:
    only = FakeUpstream("only", ["a"])
    router = Router([only])
    for number in range(20):
        with pytest.raises(ProxyError) as raised:
            await router.routes_for(f"unknown-{number}")
        assert raised.value.status == 404
    assert only.listed == 1


def offered(*models: str, **aliases: str) -> Offer:
    return Offer(only=frozenset(models) or None, aliases=aliases)


async def names(router: Router, model: str) -> list[tuple[str, str]]:
    return [(route.upstream.name, route.model) for route in await router.routes_for(model)]


async def test_an_alias_stands_for_the_upstreams_own_name() -> None:
    router = Router(
        [FakeUpstream("gpu", ["bge-m3:latest"]), FakeUpstream("cloud", ["big", "small"])],
        {"gpu": offered(embed="bge-m3"), "cloud": offered("small", summary="small")},
    )
    assert await names(router, "embed") == [("gpu", "bge-m3")]
    assert await names(router, "summary") == [("cloud", "small")]
    assert [card.id for card in await router.cards()] == ["bge-m3:latest", "embed", "small", "summary"]
    assert (await router.card("summary")).id == "summary"
    with pytest.raises(ProxyError) as raised:
        await router.routes_for("big")
    assert raised.value.status == 404, "what the operator does not name is not offered"


async def test_a_declared_model_is_known_while_its_upstream_is_down() -> None:
    down = FakeUpstream("cloud", ["small"])
    down.is_down = True
    router = Router([down], {"cloud": offered("small", summary="small")})
    assert await names(router, "summary") == [("cloud", "small")]
    with pytest.raises(ProxyError) as raised:
        await router.routes_for("other")
    assert raised.value.status == 404
    assert not router.answers_for("summary")


async def test_fallbacks_follow_in_their_order_each_once() -> None:
    router = Router(
        [FakeUpstream("gpu", ["big"]), FakeUpstream("spare", ["big", "small"]), FakeUpstream("cloud", ["small"])],
        {"spare": Offer(group="spares")},
        {"big": [Target("big", "spares"), Target("small", "cloud"), Target("gone"), Target("small", "cloud")]},
    )
    assert await names(router, "big") == [("gpu", "big"), ("spare", "big"), ("cloud", "small")]
    assert [route.is_same_model for route in await router.routes_for("big")] == [True, True, False]
    assert await names(router, "small") == [("spare", "small")]


async def test_a_model_that_cannot_be_looked_up_is_fallen_back_from() -> None:
    down = FakeUpstream("gpu", ["big"])
    down.is_down = True
    router = Router([down, FakeUpstream("cloud", ["small"])], None, {"big": [Target("small")]})
    assert await names(router, "big") == [("cloud", "small")]
    assert router.answers_for("big")
    assert not router.answers_for("big", out={"cloud"})


async def test_prices_are_the_models_own_or_the_upstreams() -> None:
    offer = Offer(prices={"small": Price(1, 2)}, price=Price(3, 4), aliases={"cheap": "small"})
    router = Router([FakeUpstream("cloud", ["big", "small"])], {"cloud": offer})
    assert [(await router.routes_for(model))[0].price for model in ("big", "small", "cheap")] == [
        Price(3, 4),
        Price(1, 2),
        Price(1, 2),
    ]
