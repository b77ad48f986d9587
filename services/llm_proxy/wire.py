"""OpenAI's requests and answers, as far as the proxy reads them; every other member is passed on as it came."""

import base64
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt
from pydantic_core import PydanticCustomError

MAX_INPUTS = 2048
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


def _content(value: object) -> object:
    if value is None or isinstance(value, str | list):
        return value
    raise PydanticCustomError("content", "Input should be a string, an array of parts or null")


def _embedding_input(value: object) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and 0 < len(value) <= MAX_INPUTS:
        token_arrays = all(isinstance(part, list) and _all(int, part) for part in value)
        if token_arrays or _all(str, value) or _all(int, value):
            return value
    raise PydanticCustomError(
        "input", "Input should be a string, or an array of 1 to 2048 strings, of tokens or of token arrays"
    )


def _all(kind: type, values: list[Any]) -> bool:
    return bool(values) and all(type(value) is kind for value in values)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class ChatMessage(Open):
    role: Role
    content: Annotated[Any, AfterValidator(_content)] = None


class ChatRequest(Open):
    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None

    def payload(self) -> dict[str, Any]:
        return {**self.model_dump(exclude_unset=True), "stream": bool(self.stream)}


class EmbeddingRequest(Open):
    """`input_type` is ours: models such as E5 embed a question and a passage differently."""

    model: Annotated[str, Field(min_length=1)]
    input: Annotated[Any, AfterValidator(_embedding_input)]
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    input_type: Literal["query", "passage"] | None = None

    @property
    def count(self) -> int:
        single = isinstance(self.input, str) or isinstance(self.input[0], int)
        return 1 if single else len(self.input)

    def payload(self) -> dict[str, Any]:
        """The request as any OpenAI-style server takes it: always asks for numbers, and leaves out what is ours."""
        return self.model_dump(exclude_unset=True, exclude={"encoding_format", "input_type"})


class Vector(BaseModel):
    index: NonNegativeInt
    embedding: Annotated[list[FiniteFloat], Field(min_length=1)]


class Usage(BaseModel):
    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0


class Embeddings(BaseModel):
    """An embedding answer, in numbers; `data` may come in any order."""

    data: list[Vector]
    usage: Usage | None = None

    def vectors(self, count: int) -> list[list[float]] | None:
        """The vectors in the order of the inputs, or None unless there is exactly one for each of `count` inputs."""
        by_index = {vector.index: vector.embedding for vector in self.data}
        whole = len(self.data) == count and by_index.keys() == set(range(count))
        return [by_index[index] for index in range(count)] if whole else None


class ModelCard(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "unknown"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


def embedding_answer(request: EmbeddingRequest, vectors: Sequence[Sequence[float]], usage: Usage) -> dict[str, Any]:
    tokens = usage.prompt_tokens
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encoded(vector, request.encoding_format)}
            for index, vector in enumerate(vectors)
        ],
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def encoded(vector: Sequence[float], encoding: Literal["float", "base64"]) -> Sequence[float] | str:
    """As OpenAI encodes a vector: numbers, or its little-endian 32-bit floats in base64."""
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
