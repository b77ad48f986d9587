import io
import json

import pytest

from services.imports.pages import Cursor, Page, pages
from services.imports.said import Format
from tests.support.exports import chat, line

LINES = "".join(line(number) for number in range(95)) + "\n\n"
CHATS = json.dumps([chat(f"c{number}", number) for number in range(12)], indent=1)


def read(text: str, reads: Format, start: Cursor = Cursor(), messages: int = 10, size: int = 1_000_000) -> list[Page]:  # noqa: B008  it is frozen
    return list(pages(io.BytesIO(text.encode()), reads, start, messages=messages, size=size))


def raws(found: list[Page]) -> list[bytes]:
    return [said.raw for page in found for said in page.said]


@pytest.mark.parametrize(("text", "reads", "count"), [(LINES, "jsonl", 95), (CHATS, "chatgpt", 132)])
def test_each_cursor_leads_to_the_rest_whatever_the_pages_size_then(text: str, reads: Format, count: int) -> None:
    found = read(text, reads)
    everything = raws(found)
    assert len(everything) == count
    assert {len(page.said) for page in found[:-1]} == {10}
    done = 0
    for page in found:
        done += len(page.said)
        for messages in (1, 7, 1_000):
            rest = read(text, reads, page.after, messages)
            assert raws(rest) == everything[done:]
            assert all(len(each.said) <= messages for each in rest)


def test_the_places_are_the_same_after_a_cursor() -> None:
    found = read(CHATS, "chatgpt")
    places = [said.place for page in found for said in page.said]
    after = [said.place for page in read(CHATS, "chatgpt", found[5].after) for said in page.said]
    assert after == places[60:]


def test_a_page_is_bounded_in_bytes_and_a_larger_message_has_one_of_its_own() -> None:
    text = "".join(line(number, content="x" * (50_000 if number == 3 else 100)) for number in range(8))
    found = read(text, "jsonl", messages=100, size=600)
    assert all(sum(len(said.raw) for said in page.said) <= 600 or len(page.said) == 1 for page in found)
    assert len(raws(found)) == 8
