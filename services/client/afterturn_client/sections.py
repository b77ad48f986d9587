"""The section store over the API: what an application keeps of one person or company by name."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

from pydantic import JsonValue

from afterturn_client.api import MemoryApi, OwnerType, owners_path
from afterturn_client.errors import InvalidFieldError, NotFoundError
from afterturn_client.rooms import check_id
from afterturn_client.section_answers import (
    AddedCommand,
    CommandPage,
    EndedSession,
    FoundFacts,
    KeyPage,
    SectionValue,
    StorageStats,
    StoredFacts,
)

PermanentSection = Literal["user_preferences", "facts"]
_PLACES: dict[PermanentSection, str] = {"user_preferences": "preferences", "facts": "facts"}


class Sections:
    """Made by `MemoryClient.sections`, for one owner and one namespace.

    A value that is not there is None. With `if_version` a write is done over that version only, 0 for none; else
    `VersionConflictError` is raised. As all that is asked here it is tried again in an outage, so a conflict may be
    with a first try whose answer was lost: read before you write again.
    """

    def __init__(self, api: MemoryApi, owner_type: OwnerType, owner_id: str, namespace: str | None) -> None:
        self._api = api
        self._path = owners_path(owner_type, owner_id)
        self._namespace = {"namespace": namespace}
        self._owner = {f"{owner_type}_id": owner_id, "namespace": namespace}

    async def set_user_preference(self, key: str, value: JsonValue, *, if_version: int | None = None) -> SectionValue:
        """Keep a preference for good."""
        return await self._put("user_preferences", key, value, if_version)

    async def get_user_preference(self, key: str) -> SectionValue | None:
        return await self._get(self._place("user_preferences", key), self._namespace)

    async def store_fact(self, key: str, value: JsonValue, *, if_version: int | None = None) -> SectionValue:
        """Keep a fact for good, to be found again by `search_facts`."""
        return await self._put("facts", key, value, if_version)

    async def store_facts(self, facts: Mapping[str, JsonValue]) -> StoredFacts:
        """Keep facts by their keys, all or none."""
        body = {"facts": dict(facts)}
        return await self._api.answer(StoredFacts, "POST", f"{self._path}/facts", json=body, params=self._namespace)

    async def get_fact(self, key: str) -> SectionValue | None:
        return await self._get(self._place("facts", key), self._namespace)

    async def search_facts(self, query: str, *, limit: int = 10, everywhere: bool = False) -> FoundFacts:
        """Find facts by words and by meaning; with `everywhere` in all namespaces."""
        body: dict[str, Any] = {"query": query, "limit": limit}
        if not everywhere:
            body["namespace"] = self._namespace["namespace"] or "default"
        return await self._api.answer(FoundFacts, "POST", f"{self._path}/facts/search", json=body)

    async def delete(self, section: PermanentSection, key: str, *, if_version: int | None = None) -> None:
        """Delete a preference or a fact; one that is not there is deleted already."""
        place, matching = self._place(section, key), _matching(if_version)
        await self._api.tell("DELETE", place, params=self._namespace, headers=matching)

    async def list_keys(
        self, section: PermanentSection, *, prefix: str = "", cursor: str | None = None, limit: int = 50
    ) -> KeyPage:
        """List keys in their order, without what they hold."""
        page = {**self._namespace, "prefix": prefix, "cursor": cursor, "limit": limit}
        return await self._api.answer(KeyPage, "GET", f"{self._path}/{_PLACES[section]}", params=page)

    async def add_command_history(
        self, command: JsonValue, *, session_id: str | None = None, command_id: str | None = None
    ) -> AddedCommand:
        """Add a command; the same `command_id` is added once, however often it is tried."""
        body: dict[str, Any] = {"command": command, "command_id": command_id or str(uuid4())}
        if session_id is not None:
            body["session_id"] = session_id
        return await self._api.answer(AddedCommand, "POST", f"{self._path}/commands", json=body, params=self._namespace)

    async def get_command_history(
        self, *, session_id: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> CommandPage:
        """Give the newest commands first: a session's, or without one all of the owner."""
        page = {**self._namespace, "session_id": session_id, "cursor": cursor, "limit": limit}
        return await self._api.answer(CommandPage, "GET", f"{self._path}/commands", params=page)

    async def set_session_state(
        self, session_id: str, key: str, value: JsonValue, *, shared: bool = False
    ) -> SectionValue:
        """Keep a value until the session ends; a `shared` one for all sessions of the owner, while any uses it."""
        params = {**self._owner, "shared": shared}
        return await self._api.answer(
            SectionValue, "PUT", _state(session_id, key), json={"value": value}, params=params
        )

    async def get_session_state(self, session_id: str, key: str) -> SectionValue | None:
        """Give the session's own value, else the one that all sessions share."""
        return await self._get(_state(session_id, key), self._owner)

    async def delete_session_state(self, session_id: str, key: str, *, shared: bool = False) -> None:
        await self._api.tell("DELETE", _state(session_id, key), params={**self._owner, "shared": shared})

    async def end_session(self, session_id: str) -> int:
        """Forget the session's own state; answer how many values it had."""
        check_id("session_id", session_id)
        path = f"/v1/sessions/{session_id}"
        return (await self._api.answer(EndedSession, "DELETE", path, params=self._owner)).values

    async def set_temporary(self, key: str, value: JsonValue, *, ttl_seconds: float) -> SectionValue:
        body = {"value": value, "ttl_seconds": ttl_seconds}
        return await self._api.answer(SectionValue, "PUT", f"/v1/temporary/{_part(key)}", json=body, params=self._owner)

    async def get_temporary(self, key: str) -> SectionValue | None:
        return await self._get(f"/v1/temporary/{_part(key)}", self._owner)

    async def delete_temporary(self, key: str) -> None:
        await self._api.tell("DELETE", f"/v1/temporary/{_part(key)}", params=self._owner)

    async def get_storage_stats(self) -> StorageStats:
        """Say how much the owner has stored, in all namespaces."""
        return await self._api.answer(StorageStats, "GET", f"{self._path}/storage")

    def _place(self, section: PermanentSection, key: str) -> str:
        return f"{self._path}/{_PLACES[section]}/{_part(key)}"

    async def _get(self, path: str, params: Mapping[str, object]) -> SectionValue | None:
        try:
            return await self._api.answer(SectionValue, "GET", path, params=params)
        except NotFoundError:
            return None

    async def _put(self, section: PermanentSection, key: str, value: JsonValue, if_version: int | None) -> SectionValue:
        return await self._api.answer(
            SectionValue,
            "PUT",
            self._place(section, key),
            json={"value": value},
            params=self._namespace,
            headers=_matching(if_version),
        )


def _state(session_id: str, key: str) -> str:
    check_id("session_id", session_id)
    return f"/v1/sessions/{session_id}/state/{_part(key)}"


def _part(key: str) -> str:
    """Write a key as one part of a path; two dots would climb."""
    if not key:
        raise InvalidFieldError("key", "1 to 255 printable characters")
    return quote(key, safe="").replace(".", "%2E")


def _matching(version: int | None) -> dict[str, str]:
    if version is None:
        return {}
    return {"If-Match": f'"{version}"'} if version else {"If-None-Match": "*"}
