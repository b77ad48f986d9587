"""The tools for a program of one's own: opened with an API key, called with what a model asks for."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from services.access import Access
from services.agent_tools.formats import Format, in_format
from services.agent_tools.tools import Answer, call, told, tools_of
from services.agent_tools.whose import AgentSections, Memory
from services.credential import Credential, credential_of
from services.domain.credentials import prefix_of
from services.domain.errors import AfterturnError, NotAllowedError
from services.domain.sections import AGENT_NAMESPACE, DEFAULT_NAMESPACE
from services.postgres.api.keys import ApiKeys
from services.postgres.archive.room_access import RoomAccess
from services.resources import Resources, open_resources
from services.section_store.store import SectionStore
from services.settings import AgentToolSettings, load


def memory_of(resources: Resources) -> Memory:
    access = Access(resources.reading, resources.buffer, RoomAccess(resources.database))
    return Memory(
        searching=resources.searching,
        context=resources.context,
        memories=resources.memories,
        brain=resources.brain,
        access=access,
        sections=_sections(resources.sections, load(AgentToolSettings)),
    )


def _sections(store: SectionStore, settings: AgentToolSettings) -> AgentSections | None:
    """Open an agent's own namespace; what the application keeps is read only where the operator lets it."""
    if not settings.agent_tools_sections:
        return None
    applications = (DEFAULT_NAMESPACE,) if settings.agent_tools_application_values else ()
    return AgentSections(store, (*applications, AGENT_NAMESPACE))


class ToolsOfKey:
    """The tools that an API key may use. The key is looked up at each call: one that was revoked ends at once."""

    def __init__(self, memory: Memory, keys: ApiKeys, api_key: str) -> None:
        self.memory = memory
        self._keys = keys
        self._api_key = api_key

    async def credential(self) -> Credential:
        """Raise `NotAllowedError` unless the key counts."""
        prefix = prefix_of(self._api_key)
        key = await self._keys.find(prefix) if prefix else None
        credential = credential_of(key, self._api_key) if key else None
        if credential is None:
            raise NotAllowedError("The API key is not known, or was revoked, or has expired.")
        return credential

    async def tools_for(self, wanted: Format) -> list[dict[str, Any]]:
        """Give what to pass as `tools` to OpenAI's or Anthropic's client."""
        return in_format(tools_of(self.memory, await self.credential()), wanted)

    async def call(self, name: str, arguments: Mapping[str, Any] | str | None) -> Answer:
        """Call a tool with the arguments that a model gave, as an object or as JSON."""
        try:
            credential = await self.credential()
        except AfterturnError as error:
            return Answer(told(error), is_error=True)
        return await call(self.memory, credential, name, arguments)


@asynccontextmanager
async def open_tools(api_key: str) -> AsyncIterator[ToolsOfKey]:
    """Open every client as the environment says; raise `NotAllowedError` for a key that does not count."""
    async with open_resources() as resources:
        tools = ToolsOfKey(memory_of(resources), ApiKeys(resources.database), api_key)
        await tools.credential()
        yield tools
