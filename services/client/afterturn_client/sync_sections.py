"""The section store for code without an event loop."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from pydantic import JsonValue

from afterturn_client.section_answers import (
    AddedCommand,
    CommandPage,
    FoundFacts,
    KeyPage,
    SectionValue,
    StorageStats,
    StoredFacts,
)
from afterturn_client.sections import PermanentSection, Sections

AnswerT = TypeVar("AnswerT")


class Asks(Protocol):
    def __call__(self, ask: Callable[[Sections], Awaitable[AnswerT]], /) -> AnswerT: ...


class SyncSections:
    """Made by `SyncMemoryClient.sections`. Each call does as the one of `Sections` does."""

    def __init__(self, asks: Asks) -> None:
        self._asks = asks

    def set_user_preference(self, key: str, value: JsonValue, *, if_version: int | None = None) -> SectionValue:
        return self._asks(lambda sections: sections.set_user_preference(key, value, if_version=if_version))

    def get_user_preference(self, key: str) -> SectionValue | None:
        return self._asks(lambda sections: sections.get_user_preference(key))

    def store_fact(self, key: str, value: JsonValue, *, if_version: int | None = None) -> SectionValue:
        return self._asks(lambda sections: sections.store_fact(key, value, if_version=if_version))

    def store_facts(self, facts: Mapping[str, JsonValue]) -> StoredFacts:
        return self._asks(lambda sections: sections.store_facts(facts))

    def get_fact(self, key: str) -> SectionValue | None:
        return self._asks(lambda sections: sections.get_fact(key))

    def search_facts(self, query: str, *, limit: int = 10, everywhere: bool = False) -> FoundFacts:
        return self._asks(lambda sections: sections.search_facts(query, limit=limit, everywhere=everywhere))

    def delete(self, section: PermanentSection, key: str, *, if_version: int | None = None) -> None:
        return self._asks(lambda sections: sections.delete(section, key, if_version=if_version))

    def list_keys(
        self, section: PermanentSection, *, prefix: str = "", cursor: str | None = None, limit: int = 50
    ) -> KeyPage:
        return self._asks(lambda sections: sections.list_keys(section, prefix=prefix, cursor=cursor, limit=limit))

    def add_command_history(
        self, command: JsonValue, *, session_id: str | None = None, command_id: str | None = None
    ) -> AddedCommand:
        return self._asks(
            lambda sections: sections.add_command_history(command, session_id=session_id, command_id=command_id)
        )

    def get_command_history(
        self, *, session_id: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> CommandPage:
        return self._asks(
            lambda sections: sections.get_command_history(session_id=session_id, cursor=cursor, limit=limit)
        )

    def set_session_state(self, session_id: str, key: str, value: JsonValue, *, shared: bool = False) -> SectionValue:
        return self._asks(lambda sections: sections.set_session_state(session_id, key, value, shared=shared))

    def get_session_state(self, session_id: str, key: str) -> SectionValue | None:
        return self._asks(lambda sections: sections.get_session_state(session_id, key))

    def delete_session_state(self, session_id: str, key: str, *, shared: bool = False) -> None:
        return self._asks(lambda sections: sections.delete_session_state(session_id, key, shared=shared))

    def end_session(self, session_id: str) -> int:
        return self._asks(lambda sections: sections.end_session(session_id))

    def set_temporary(self, key: str, value: JsonValue, *, ttl_seconds: float) -> SectionValue:
        return self._asks(lambda sections: sections.set_temporary(key, value, ttl_seconds=ttl_seconds))

    def get_temporary(self, key: str) -> SectionValue | None:
        return self._asks(lambda sections: sections.get_temporary(key))

    def delete_temporary(self, key: str) -> None:
        return self._asks(lambda sections: sections.delete_temporary(key))

    def get_storage_stats(self) -> StorageStats:
        return self._asks(lambda sections: sections.get_storage_stats())
