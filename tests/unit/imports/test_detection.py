import io
import json
import zipfile

import pytest

from services.domain.errors import InvalidInputError
from services.imports.detection import detect, names_conversations
from services.imports.pieces import BOM
from tests.support.exports import chat, claude, line, locomo


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        (line(0) + line(1), "jsonl"),
        ("{broken\n\nnot this either\n" + line(0), "jsonl"),
        (json.dumps([chat("c", 1)]), "chatgpt"),
        (json.dumps([{"title": "of another kind"}, chat("c", 1)], indent=2), "chatgpt"),
        (json.dumps(chat("c", 1)), "chatgpt"),
        (json.dumps([claude("c", ["a"])]), "claude"),
        (json.dumps([locomo("c", [["a"]])], indent=4), "locomo"),
        (json.dumps(locomo("c", [["a"]])["conversation"], indent=4), "locomo"),
    ],
)
def test_a_format_is_known_by_what_it_begins_with(text: str, reads: str) -> None:
    for beginning in (b"", BOM):
        assert detect(io.BytesIO(beginning + text.encode())) == reads


def archive() -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as file:
        file.writestr("conversations.json", "[]")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "source: takes a file with at least one message"),
        (BOM + b" \n ", "source: takes a file with at least one message"),
        (line(0).encode("utf-16"), "source: takes text in UTF-8, not UTF-16"),
        (line(0).encode("utf-16-le"), "source: takes text in UTF-8"),
        (archive(), "source: takes an unpacked file: this is a zip archive"),
        (b"\x1f\x8b\x08\x00", "source: takes an unpacked file"),
        (b"a letter\nof two lines", "format: takes jsonl, chatgpt, claude, locomo"),
        (b'[{"name": "somebody"}]', "format: takes jsonl, chatgpt, claude, locomo"),
    ],
)
def test_what_is_no_conversation_is_refused_with_what_to_do(content: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        detect(io.BytesIO(content))
    assert str(refused.value).startswith(words)
    assert "somebody" not in str(refused.value)


def test_whether_lines_say_their_conversation() -> None:
    assert names_conversations(io.BytesIO((line(0) + line(1, conversation_id="c")).encode()))
    assert not names_conversations(io.BytesIO((line(0) + line(1)).encode()))
