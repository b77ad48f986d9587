"""An embedding request as a list of inputs, and what came of each."""

import hashlib
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.llm_proxy.wire import EmbeddingRequest

Input = str | list[int]


@dataclass(frozen=True, slots=True)
class Embedding:
    """`tokens` is this input's part of what the upstream counted for its whole request."""

    vector: Sequence[float]
    tokens: int


def inputs_of(request: EmbeddingRequest) -> list[Input]:
    is_single = isinstance(request.input, str) or isinstance(request.input[0], int)
    return [request.input] if is_single else list(request.input)


def in_numbers(request: EmbeddingRequest) -> EmbeddingRequest:
    return request.model_copy(update={"encoding_format": "float"})


def with_inputs(request: EmbeddingRequest, inputs: Sequence[Input]) -> EmbeddingRequest:
    """The same request for other inputs, answered in numbers."""
    return in_numbers(request).model_copy(update={"input": list(inputs)})


def kind_of(request: EmbeddingRequest) -> str:
    """Everything about a request but its inputs and the form of its answer: what may be merged is equal in this."""
    rest = request.model_dump(exclude_unset=True, exclude={"input", "encoding_format"})
    return json.dumps(rest, sort_keys=True)


def hash_of(kind: str, given: Input) -> bytes:
    return hashlib.sha256(f"{kind}\n{json.dumps(given)}".encode("ascii")).digest()


def embeddings_in(answer: dict[str, Any], inputs: Sequence[Input]) -> list[Embedding]:
    """Read an answer in numbers; its tokens are divided by the inputs' lengths, and nothing of them is lost."""
    shares = _divided(answer["usage"]["prompt_tokens"], [len(given) for given in inputs])
    vectors = (array("d", one["embedding"]) for one in answer["data"])
    return [Embedding(vector, tokens) for vector, tokens in zip(vectors, shares, strict=True)]


def _divided(total: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    ends, reached = [], 0
    for weight in weights:
        reached += weight
        ends.append(total * reached // whole)
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
