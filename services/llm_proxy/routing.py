"""Which upstreams answer for a model name, and in which order they are asked."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from services.llm_proxy.errors import ProxyError, unknown_model
from services.llm_proxy.upstreams.port import Upstream
from services.llm_proxy.wire import ModelCard

_KNOWN_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Price:
    """For a million tokens, in whatever currency the operator thinks."""

    prompt: float = 0.0
    completion: float = 0.0


FREE = Price()


@dataclass(frozen=True, slots=True)
class Offer:
    """What the operator says about an upstream's models; with `only`, it offers no others, whatever it lists."""

    group: str = ""
    only: frozenset[str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    price: Price = FREE


@dataclass(frozen=True, slots=True)
class Target:
    """A model to fall back on, at one upstream or at whichever offers it."""

    model: str
    upstream: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """`model` is the upstream's own name for it. `is_same_model` tells a second place from another model."""

    upstream: Upstream
    model: str
    price: Price = FREE
    is_same_model: bool = True


class Listing:
    """What one upstream last said it offers; kept while the upstream is down, so that its models stay its own."""

    def __init__(self, upstream: Upstream, offer: Offer) -> None:
        self.upstream = upstream
        self.offer = offer
        self.cards: dict[str, ModelCard] = {}
        self.failure: ProxyError | None = None
        self._lists_nothing = False
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._declare()

    @property
    def takes_any(self) -> bool:
        return self._lists_nothing and self.offer.only is None

    async def refresh(self, max_age: float) -> None:
        """Ask again unless that was tried less than `max_age` seconds ago; `failure` says how it went."""
        async with self._lock:
            if time.monotonic() - self._asked_at < max_age:
                return
            try:
                cards = await self.upstream.models()
                self._lists_nothing = cards is None
                self.cards = {card.id: card for card in cards or ()}
                self.failure = None
            except ProxyError as failure:
                self.failure = failure
            self._declare()
            self._asked_at = time.monotonic()

    def card(self, model: str) -> ModelCard | None:
        # Ollama lists `bge-m3:latest` and answers to `bge-m3`.
        return self.cards.get(model) or self.cards.get(f"{model}:latest")

    def route(self, model: str, *, is_same_model: bool) -> Route:
        name = self.offer.aliases.get(model, model)
        return Route(self.upstream, name, self.offer.prices.get(name, self.offer.price), is_same_model)

    def _declare(self) -> None:
        """Add what the operator declared: an upstream that is down, or lists nothing, still has it."""
        if self.offer.only is not None:
            found = {name: self.card(name) or self._declared(name) for name in self.offer.only}
            self.cards = {name: card.model_copy(update={"id": name}) for name, card in found.items()}
        for alias, name in self.offer.aliases.items():
            if card := self.card(name):
                self.cards[alias] = card.model_copy(update={"id": alias})

    def _declared(self, name: str) -> ModelCard:
        return ModelCard(id=name, owned_by=self.offer.group or self.upstream.name)


class Router:
    """Routes a model to the first upstream that offers it, else to one that lists nothing; then come the fallbacks."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        offers: Mapping[str, Offer] | None = None,
        fallbacks: Mapping[str, Sequence[Target]] | None = None,
    ) -> None:
        self.listings = [Listing(upstream, (offers or {}).get(upstream.name, Offer())) for upstream in upstreams]
        self._fallbacks = fallbacks or {}

    async def routes_for(self, model: str) -> list[Route]:
        """Find them; raise an outage rather than 'unknown model' when an upstream that may have it cannot be asked."""
        routes: list[Route] = []
        failure: ProxyError | None = None
        try:
            routes.append((await self._listing_of(Target(model))).route(model, is_same_model=True))
        except ProxyError as error:
            if error.status < 500:  # noqa: PLR2004
                raise
            failure = error
        names = [model, *(route.model for route in routes)]
        for target in self._fallbacks_of(names):
            try:
                route = (await self._listing_of(target)).route(target.model, is_same_model=target.model in names)
            except ProxyError:
                continue
            if all((route.upstream.name, route.model) != (one.upstream.name, one.model) for one in routes):
                routes.append(route)
        if failure and not routes:
            raise failure
        return routes

    async def watch(self) -> None:
        """Keep the lists fresh, so that no request for a known model waits for one. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(_KNOWN_SECONDS)
            await self.refresh()

    async def refresh(self, max_age: float = _ASK_AGAIN_SECONDS) -> None:
        await asyncio.gather(*(listing.refresh(max_age) for listing in self.listings))

    async def cards(self) -> list[ModelCard]:
        """Every model of the upstreams that answer; raise when none does."""
        await self.refresh()
        answering = [listing for listing in self.listings if listing.failure is None]
        if not answering:
            raise next(listing.failure for listing in self.listings if listing.failure)
        cards: dict[str, ModelCard] = {}
        for listing in answering:
            cards |= {name: card for name, card in listing.cards.items() if name not in cards}
        return list(cards.values())

    async def card(self, model: str) -> ModelCard:
        card = (await self._listing_of(Target(model))).card(model)
        if card is None:
            raise unknown_model(model)
        return card.model_copy(update={"id": model})

    def answers_for(self, model: str, *, out: Collection[str] = ()) -> bool:
        """Whether an upstream that answered when last asked takes this model; those named in `out` do not count."""
        names = [model, *(one.route(model, is_same_model=True).model for one in self.listings if one.card(model))]
        targets = [Target(model), *self._fallbacks_of(names)]
        return any(
            one.failure is None
            and one.upstream.name not in out
            and (one.takes_any or one.card(target.model) is not None)
            for target in targets
            for one in self._at(target)
        )

    def _fallbacks_of(self, names: Collection[str]) -> Sequence[Target]:
        return next((self._fallbacks[name] for name in names if name in self._fallbacks), ())

    async def _listing_of(self, target: Target) -> Listing:
        known = self._find(target)
        if known is None:
            await self.refresh(_ASK_AGAIN_SECONDS)
            known = self._find(target) or next((one for one in self._at(target) if one.takes_any), None)
        if known is None:
            failures = (one.failure for one in self._at(target) if one.failure and one.offer.only is None)
            raise next(failures, unknown_model(target.model))
        return known

    def _find(self, target: Target) -> Listing | None:
        listings = self._at(target)
        exact = (one for one in listings if target.model in one.cards)
        return next(exact, None) or next((one for one in listings if one.card(target.model)), None)

    def _at(self, target: Target) -> list[Listing]:
        return [
            one
            for one in self.listings
            if target.upstream is None or target.upstream in (one.offer.group, one.upstream.name)
        ]
