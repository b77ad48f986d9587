"""The one way from a request, however it came, to an upstream."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.llm_proxy.budgets import Budgets
from services.llm_proxy.caller import Caller
from services.llm_proxy.calls import Call, Calls
from services.llm_proxy.embedding_cache import EmbeddingCache
from services.llm_proxy.embedding_inputs import Embedding, Input, hash_of, inputs_of, kind_of, with_inputs
from services.llm_proxy.fallbacks import Fallbacks
from services.llm_proxy.merging import Merger
from services.llm_proxy.stream_usage import StreamUsage, wants_usage
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, Usage, embedding_answer
from services.tracing import current

# Roughly, where tokens have to be known before an upstream has counted them.
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Gateway:
    """Answers requests for HTTP, streams and WebSockets alike. Every failure is a `ProxyError`.

    Whoever stops waiting cancels the call, or closes the stream: that stops the upstream too.
    """

    calls: Calls
    budgets: Budgets
    cache: EmbeddingCache
    merger: Merger
    fallbacks: Fallbacks

    async def complete(self, request: ChatRequest, caller: Caller) -> dict[str, Any]:
        prompt = _prompt_tokens(request)
        with self.calls.call("chat", caller) as call:
            async with self._paid(call, prompt + _answer_tokens(request)):
                with current(call.span):
                    answered = await self.fallbacks.complete(request, caller)
                call.answers(answered.route)
                call.read_usage(answered.answer.get("usage"))
                return answered.answer

    async def stream(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events, `[DONE]` the last; what fails before the first can still get a status."""
        prompt, read, is_told = _prompt_tokens(request), StreamUsage(), wants_usage(request)
        with self.calls.call("chat_stream", caller) as call:
            async with self._paid(call, prompt + _answer_tokens(request)):
                with current(call.span):
                    answered = await self.fallbacks.stream(request, caller)
                call.answers(answered.route)
                self.calls.first_event(call)
                async with aclosing(answered.answer) as events:
                    async for event in events:
                        is_usage_alone = read.read(event)
                        call.read_usage(read.usage)
                        # Should nobody count, an event is about a token.
                        call.guess = prompt + read.events
                        if is_told or not is_usage_alone:
                            yield event

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> dict[str, Any]:
        kind, inputs = kind_of(request), inputs_of(request)
        keys = [hash_of(kind, given) for given in inputs]
        with self.calls.call("embeddings", caller) as call:
            found = {key: embedding for key in keys if (embedding := self.cache.get(key)) is not None}
            self.calls.looked_up(hits=sum(key in found for key in keys), inputs=len(keys))
            call.cached = sum(found[key].tokens for key in keys if key in found)
            missing = [given for key, given in zip(keys, inputs, strict=True) if key not in found]
            if missing:
                asked = with_inputs(request, missing) if found else request
                new = await self._embed(asked, missing, call)
                new_keys = [key for key in keys if key not in found]
                for key, embedding in zip(new_keys, new, strict=True):
                    self.cache.put(key, embedding)
                    found[key] = embedding
            embeddings = [found[key] for key in keys]
            call.embedded(request.model, sum(embedding.tokens for embedding in embeddings))
        return _embedding_answer(request, embeddings, call)

    async def _embed(self, request: EmbeddingRequest, inputs: list[Input], call: Call) -> list[Embedding]:
        estimate = sum(len(given) for given in inputs) // _CHARACTERS_A_TOKEN + 1
        async with self._paid(call, estimate):
            with current(call.span):
                answered = await self.merger.embed(request, call.caller)
            call.answers(answered.route)
            call.guess = sum(embedding.tokens for embedding in answered.answer) or estimate
            return answered.answer

    @asynccontextmanager
    async def _paid(self, call: Call, estimate: int) -> AsyncIterator[None]:
        """Charge what was counted, else the guess; nothing where nobody answered, whatever the reason."""
        call.guess = estimate
        async with self.budgets.spend(call.caller, estimate) as spending:
            try:
                yield
            finally:
                answered = call.billed if call.is_counted else call.guess
                spending.tokens = answered if call.is_answered else 0


def _embedding_answer(request: EmbeddingRequest, embeddings: list[Embedding], call: Call) -> dict[str, Any]:
    vectors = [list(embedding.vector) for embedding in embeddings]
    answer = embedding_answer(request, vectors, Usage(prompt_tokens=call.prompt_tokens))
    if call.cached:
        answer["usage"]["prompt_tokens_details"] = {"cached_tokens": call.cached}
    return answer


def _prompt_tokens(request: ChatRequest) -> int:
    return sum(len(str(message.content or "")) for message in request.messages) // _CHARACTERS_A_TOKEN + 1


def _answer_tokens(request: ChatRequest) -> int:
    return request.max_completion_tokens or request.max_tokens or 0
