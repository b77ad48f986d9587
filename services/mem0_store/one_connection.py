"""Lets Mem0 write inside a transaction that is not its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from psycopg import Connection, Cursor


class OneConnection:
    """To Mem0 this is a pool and each connection of it; in truth it is the one connection of our transaction.

    Whoever opened the transaction commits it or rolls it back: what Mem0 wishes for counts for nothing.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def connection(self) -> Iterator[Self]:
        yield self

    def cursor(self) -> Cursor[Any]:
        return self._connection.cursor()

    def commit(self) -> None:
        return

    def rollback(self) -> None:
        return

    def close(self) -> None:
        return
