"""Mem0's own table of vectors, written by Mem0's own code inside a transaction of ours.

Importing this imports Mem0, which takes seconds: do it where it is needed, after `before_mem0`.
"""

from typing import Any

from mem0.vector_stores.pgvector import PGVector
from psycopg import Connection

from services.mem0_store.one_connection import OneConnection


class Mem0Table(PGVector):  # type: ignore[misc]
    """Mem0's table, which stands: Mem0 neither looks for it nor makes it, for its own first use races."""

    def list_cols(self) -> list[str]:
        return [self.collection_name]


def mem0_table(name: str, dimensions: int, connection: Connection[Any]) -> Mem0Table:
    """Give Mem0's view of a table over one connection; it costs no query."""
    return Mem0Table(
        dbname=None,
        collection_name=name,
        embedding_model_dims=dimensions,
        user=None,
        password=None,
        host=None,
        port=None,
        diskann=False,
        hnsw=False,
        connection_pool=OneConnection(connection),
    )
