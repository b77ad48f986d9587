"""Opens files of the import folder, and no others: no way out by `..`, by a link, or by a device."""

import os
import stat
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from services.domain.errors import InvalidInputError

# What a command put there: it is removed when its import has ended.
COPIES = "copied"
_PLACE = "a path inside the import folder (IMPORT_FOLDER), or a file: URI of one"
_ENDS = 64 * 1024


class ImportFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, source: str) -> BinaryIO:
        """Open a file for reading; raise `InvalidInputError` where it is not there or not ours to read."""
        *folders, name = self._parts(source)
        try:
            place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise InvalidInputError("IMPORT_FOLDER", "a folder that the worker can read") from None
        try:
            for part in folders:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
                os.close(place)
                place = inner
            # Not blocking: a pipe must not hold the worker up.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        except OSError as error:
            raise InvalidInputError("source", f"{_takes(error)}: {_PLACE}") from None
        finally:
            os.close(place)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise InvalidInputError("source", f"a regular file: {_PLACE}")
        return os.fdopen(file, "rb")

    def remove_copy(self, source: str) -> None:
        """Remove what a command copied into the folder; a file that somebody else put there stays."""
        parts = self._parts(source)
        if len(parts) == 2 and parts[0] == COPIES:  # noqa: PLR2004  the folder and the name
            with suppress(FileNotFoundError):
                (self._folder / COPIES / parts[1]).unlink()

    def remove_old_copies(self, *, older_than: timedelta, besides: Collection[str]) -> int:
        """Remove copies that no import removed, but for those of the imports `besides`; answer how many."""
        before, removed = time.time() - older_than.total_seconds(), 0
        for copy in (self._folder / COPIES).glob("*"):
            with suppress(FileNotFoundError):
                is_old = copy.lstat().st_mtime < before and not copy.is_dir()
                if is_old and copy.stem not in besides:
                    copy.unlink()
                    removed += 1
        return removed

    def old_copies(self, *, seconds: float) -> list[str]:
        """Name what commands copied into the folder so long ago."""
        before = time.time() - seconds
        copies = self._folder / COPIES
        found = copies.iterdir() if copies.is_dir() else ()
        return [f"{COPIES}/{file.name}" for file in found if file.is_file() and file.stat().st_mtime < before]

    def name_of(self, file: Path) -> str | None:
        """Give the name by which a worker knows this file; None where it lies elsewhere."""
        real, folder = file.resolve(), self._folder.resolve()
        return real.relative_to(folder).as_posix() if real.is_relative_to(folder) else None

    def _parts(self, source: str) -> Sequence[str]:
        path = PurePosixPath(_path(source))
        if path.is_absolute():
            for folder in (self._folder.absolute(), self._folder.resolve()):
                if path.is_relative_to(folder):
                    path = path.relative_to(folder)
                    break
        parts = path.parts
        if path.is_absolute() or not parts or ".." in parts or "\x00" in source:
            raise InvalidInputError("source", _PLACE)
        return parts


def mark_of(file: BinaryIO) -> str:
    """Tell this file from a changed one by its length, its beginning and its end."""
    size = file.seek(0, os.SEEK_END)
    seen = sha256(str(size).encode())
    for offset in (0, max(0, size - _ENDS)):
        file.seek(offset)
        seen.update(file.read(_ENDS))
    return seen.hexdigest()


def _path(source: str) -> str:
    uri = urlsplit(source)
    if uri.scheme == "file" and uri.netloc in ("", "localhost"):
        return unquote(uri.path)
    if "://" in source:
        raise InvalidInputError("source", _PLACE)
    return source


def _takes(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "a file that is there"
        case PermissionError():
            return "a file that the worker may read"
        case _:
            return "a file that is no link, in folders that are none"
