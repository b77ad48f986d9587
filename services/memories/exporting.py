"""Exports all that is kept of an owner, as a ZIP that is made while it is sent: for commands and API alike."""

import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from io import RawIOBase
from typing import Any

from services.domain.memories import Owner
from services.domain.owners_data import OwnersData
from services.postgres.database import Database
from services.postgres.forgetting.owner_export import TABLES, OwnerExport

_CHUNK = 64 * 1024
_README = """What Afterturn keeps of {owner}, as of {now}.

Each file holds JSON, one record a line, in UTF-8.

{files}

Kept elsewhere, and not in here: backups, the files that operators put into the import folder, and what the host itself
keeps beside Afterturn.
"""


class Exporting:
    def __init__(self, database: Database, beside: Sequence[OwnersData] = ()) -> None:
        self._rows = OwnerExport(database)
        self._beside = beside

    async def stream(self, owner: Owner) -> AsyncIterator[bytes]:
        """Give the bytes of a ZIP file, piece by piece: no more than a page of it is ever held."""
        pieces = _Pieces()
        with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", self._readme(owner))
            async for name, records in self._parts(owner):
                with archive.open(f"{name}.jsonl", "w", force_zip64=True) as file:
                    async for record in records:
                        file.write(json.dumps(record, ensure_ascii=False, default=str).encode() + b"\n")
                        if pieces.size >= _CHUNK:
                            yield pieces.taken()
        yield pieces.taken()

    async def _parts(self, owner: Owner) -> AsyncIterator[tuple[str, AsyncIterator[dict[str, Any]]]]:
        yield "profile", self._profile(owner)
        for table in TABLES:
            if owner.type in table.of:
                yield table.name, self._rows.rows(owner, table)
        for one in self._beside:
            yield one.name, one.export(owner)

    async def _profile(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        row = await self._rows.profile(owner)
        if row is not None:
            yield row

    def _readme(self, owner: Owner) -> str:
        about = {"profile": "your own row", **{table.name: table.about for table in TABLES if owner.type in table.of}}
        about |= {one.name: f"what is kept of you as {one.name}" for one in self._beside}
        files = "\n".join(f"{name}.jsonl: {said}" for name, said in about.items())
        return _README.format(owner=owner, now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", files=files)


class _Pieces(RawIOBase):
    """A file that cannot be sought in: what is written is taken away and forgotten."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401  any buffer
        piece = bytes(data)
        self._written.append(piece)
        self.size += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        pieces, self._written, self.size = b"".join(self._written), [], 0
        return pieces
