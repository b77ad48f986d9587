"""Whatever keeps data of owners beside the archive and the memories: it forgets and exports them, too."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from services.domain.memories import Owner


class OwnersData(Protocol):
    @property
    def name(self) -> str:
        """Name it, as receipts and exports do."""

    async def erase(self, owner: Owner) -> Mapping[str, int]:
        """Erase all that is kept of an owner, and count it by place; safe to repeat. Raises `TransientError`."""

    def export(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        """Give all that is kept of an owner, a record at a time."""
