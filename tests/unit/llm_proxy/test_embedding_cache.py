from array import array

from services.llm_proxy.embedding_cache import EmbeddingCache
from services.llm_proxy.embedding_inputs import Embedding, embeddings_in, hash_of, inputs_of, kind_of
from services.llm_proxy.wire import EmbeddingRequest


def embedding(size: int = 10, tokens: int = 1) -> Embedding:
    return Embedding(array("d", [0.5] * size), tokens)


def request(given: object = "text", **more: object) -> EmbeddingRequest:
    return EmbeddingRequest.model_validate({"model": "m", "input": given, **more})


def test_it_forgets_what_was_used_least_recently_and_keeps_within_its_bytes() -> None:
    cache = EmbeddingCache(3 * 380)
    keys = [hash_of("kind", f"text {number}") for number in range(4)]
    for key in keys[:3]:
        cache.put(key, embedding())
    assert cache.get(keys[0])
    cache.put(keys[3], embedding())
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]
    cache.put(keys[3], embedding())
    assert len(cache) == 3
    cache.put(keys[3], embedding(size=1000))
    assert len(cache) == 0, "larger than all of it"


def test_without_memory_nothing_is_kept() -> None:
    cache = EmbeddingCache(0)
    cache.put(b"key", embedding())
    assert cache.get(b"key") is None


def test_what_makes_another_vector_makes_another_key() -> None:
    kinds = {
        kind_of(one)
        for one in (
            request(),
            request(model="other"),
            request(input_type="query"),
            request(input_type="passage"),
            request(dimensions=5),
            request(truncate="END"),
        )
    }
    assert len(kinds) == 6
    assert kind_of(request("another text", encoding_format="base64")) == kind_of(request())
    assert len({hash_of("k", given) for given in ("1", [1], "[1]", "1, 2", [1, 2], "\ud800")}) == 6


def test_an_input_is_a_text_or_one_array_of_tokens() -> None:
    assert inputs_of(request("text")) == ["text"]
    assert inputs_of(request([1, 2])) == [[1, 2]]
    assert inputs_of(request([[1, 2], [3]])) == [[1, 2], [3]]
    assert inputs_of(request(["a", "b"])) == ["a", "b"]


def test_no_token_is_lost_when_they_are_divided() -> None:
    for inputs in (["a" * 10, "b", "c" * 5], ["", ""], ["a"] * 7):
        answer = {"data": [{"embedding": [0.5]} for _ in inputs], "usage": {"prompt_tokens": 17}}
        tokens = [one.tokens for one in embeddings_in(answer, inputs)]
        assert sum(tokens) == 17
        assert min(tokens) >= 0
