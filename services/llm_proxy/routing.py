"""Which upstream answers for a model name."""

import asyncio
import time
from collections.abc import Sequence

from services.llm_proxy.errors import ProxyError, unknown_model
from services.llm_proxy.upstreams.port import Upstream
from services.llm_proxy.wire import ModelCard

_KNOWN_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 1.0


class Listing:
    """What one upstream last said it offers; kept while the upstream is down, so that its models stay its own."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.cards: dict[str, ModelCard] = {}
        self.takes_any = False
        self.failure: ProxyError | None = None
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def refresh(self, max_age: float) -> None:
        """Ask again unless that was tried less than `max_age` seconds ago; `failure` says how it went."""
        async with self._lock:
            if time.monotonic() - self._asked_at < max_age:
                return
            try:
                cards = await self.upstream.models()
                self.takes_any = cards is None
                self.cards = {card.id: card for card in cards or ()}
                self.failure = None
            except ProxyError as failure:
                self.failure = failure
            self._asked_at = time.monotonic()

    def card(self, model: str) -> ModelCard | None:
        # Ollama lists `bge-m3:latest` and answers to `bge-m3`.
        return self.cards.get(model) or self.cards.get(f"{model}:latest")


class Router:
    """Routes a model to the first upstream that lists it, else to one that lists nothing."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.listings = [Listing(upstream) for upstream in upstreams]

    async def upstream_for(self, model: str) -> Upstream:
        """Find it; raise an outage rather than 'unknown model' when an upstream that may have it cannot be asked."""
        known = self._find(model)
        if known is not None:
            await known.refresh(_KNOWN_SECONDS)
        known = self._find(model)
        if known is None:
            await self.refresh(_ASK_AGAIN_SECONDS)
            known = self._find(model) or next((one for one in self.listings if one.takes_any), None)
        if known is None:
            raise next((one.failure for one in self.listings if one.failure), unknown_model(model))
        return known.upstream

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
        await self.upstream_for(model)
        listing = self._find(model)
        card = listing.card(model) if listing else None
        if card is None:
            raise unknown_model(model)
        return card.model_copy(update={"id": model})

    def answers_for(self, model: str) -> bool:
        """Whether an upstream that answered when last asked takes this model."""
        return any(one.failure is None and (one.takes_any or one.card(model)) for one in self.listings)

    def _find(self, model: str) -> Listing | None:
        exact = (one for one in self.listings if model in one.cards)
        return next(exact, None) or next((one for one in self.listings if one.card(model)), None)
