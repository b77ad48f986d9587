from collections import OrderedDict

from services.llm_proxy.embedding_inputs import Embedding

# What an entry takes besides its vector: hash, objects, its place in the order.
_ENTRY_BYTES = 300
_NUMBER_BYTES = 8


class EmbeddingCache:
    """Keeps the embeddings that were used last, by the hash of input and kind, in `max_bytes` of memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, Embedding] = OrderedDict()

    def get(self, key: bytes) -> Embedding | None:
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, embedding: Embedding) -> None:
        if (old := self._entries.pop(key, None)) is not None:
            self._bytes -= _size(old)
        self._entries[key] = embedding
        self._bytes += _size(embedding)
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)

    def __len__(self) -> int:
        return len(self._entries)


def _size(embedding: Embedding) -> int:
    return _ENTRY_BYTES + _NUMBER_BYTES * len(embedding.vector)
