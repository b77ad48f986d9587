from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel

from services.agent_tools.arguments import Arguments
from services.domain.credentials import Scope


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. Any of `scopes` lets a credential use it, as far as the arguments ask for no more."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    answer: type[BaseModel]
    run: Callable[..., Awaitable[BaseModel]]
    scopes: tuple[Scope, ...]
    is_read_only: bool = False
    is_destructive: bool = False
