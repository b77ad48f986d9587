"""The import folder has no way out."""

import os
from pathlib import Path

import pytest

from services.domain.errors import InvalidInputError
from services.imports.folder import COPIES, ImportFolder, mark_of

SECRET = "not for import"


@pytest.fixture
def folder(tmp_path: Path) -> ImportFolder:
    inside = tmp_path / "imports"
    (inside / "sub folder").mkdir(parents=True)
    (inside / "sub folder" / "chat.jsonl").write_text("a chat")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "imports-of-others").mkdir()
    (tmp_path / "imports-of-others" / "chat").write_text(SECRET)
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "inner").symlink_to(inside / "sub folder" / "chat.jsonl")
    os.mkfifo(inside / "pipe")
    return ImportFolder(inside)


def test_a_file_is_named_by_its_path_or_uri(folder: ImportFolder, tmp_path: Path) -> None:
    place = f"{tmp_path}/imports/sub folder/chat.jsonl"
    uris = (f"file://{place.replace(' ', '%20')}", f"file://localhost{place.replace(' ', '%20')}")
    for source in ("sub folder/chat.jsonl", "./sub folder/chat.jsonl", place, *uris):
        with folder.open(source) as file:
            assert file.read() == b"a chat"


@pytest.mark.parametrize(
    "source",
    [
        "../secret",
        "sub folder/../../secret",
        "{tmp}/secret",
        "{tmp}/imports/../secret",
        "{tmp}/imports-of-others/chat",
        "file://{tmp}/secret",
        "file://{tmp}/imports/%2e%2e/secret",
        "file://elsewhere{tmp}/imports/sub%20folder/chat.jsonl",
        "link",
        "linked/secret",
        "inner",
        "pipe",
        "sub folder",
        "",
        ".",
        "/",
        "..",
        "nowhere",
        "sub folder/chat.jsonl/x",
        "a\x00b",
        "x" * 1_000,
        "https://example.org/chat.jsonl",
        "s3://bucket/chat.jsonl",
        "/dev/zero",
        "/etc/passwd",
    ],
)
def test_nothing_else_can_be_opened(folder: ImportFolder, tmp_path: Path, source: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        folder.open(source.replace("{tmp}", str(tmp_path)))
    assert refused.value.field == "source"
    assert "a path inside the import folder" in refused.value.takes


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="IMPORT_FOLDER"):
        ImportFolder(tmp_path / "none").open("chat")


def test_only_copies_are_removed(folder: ImportFolder, tmp_path: Path) -> None:
    copies = tmp_path / "imports" / COPIES
    (copies / "deep").mkdir(parents=True)
    for path in (copies / "one.json", copies / "deep" / "two.json"):
        path.write_text("a copy")
    for source in (f"{COPIES}/one.json", f"{COPIES}/deep/two.json", "sub folder/chat.jsonl", f"{COPIES}/gone.json"):
        folder.remove_copy(source)
    assert not (copies / "one.json").exists()
    assert (copies / "deep" / "two.json").exists()
    assert (tmp_path / "imports" / "sub folder" / "chat.jsonl").exists()
    with pytest.raises(InvalidInputError):
        folder.remove_copy(f"{COPIES}/../../secret")
    assert (tmp_path / "secret").exists()


def test_a_changed_file_has_another_mark(tmp_path: Path) -> None:
    marks = set()
    for content in (b"a" * 300_000, b"b" + b"a" * 299_999, b"a" * 299_999 + b"b", b"a" * 300_001, b""):
        path = tmp_path / "file"
        path.write_bytes(content)
        with path.open("rb") as file:
            marks.add(mark_of(file))
    assert len(marks) == 5
