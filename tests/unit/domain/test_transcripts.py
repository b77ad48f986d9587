from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.domain.messages import ArchivedMessage
from services.domain.rolling import rolling_input
from services.domain.transcripts import GAP, embedding_text, estimate_tokens, line, shorten, transcript

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def message(
    content: str, *, role: str = "user", seq: int = 1, sent_at: datetime = MONDAY, **more: object
) -> ArchivedMessage:
    calls = more.get("tool_calls", ())
    assert isinstance(calls, tuple)
    return ArchivedMessage("user:demo", seq, str(seq), role, content, "demo", sent_at, tool_calls=calls)


def test_a_line_names_the_speaker() -> None:
    assert line(message(" I moved to Lima ")) == "user demo: I moved to Lima"
    assert line(message("Noted.", role="assistant")) == "assistant: Noted."


@pytest.mark.parametrize(
    "call",
    [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Lima"}'}},
        {"name": "weather", "args": {"city": "Lima"}},
        {"name": "weather", "input": {"city": "Lima"}},
    ],
)
def test_tool_calls_are_shown_whatever_their_shape(call: dict[str, object]) -> None:
    assert line(message("", role="assistant", tool_calls=(call,))) == 'assistant: [called weather({"city": "Lima"})]'


def test_a_transcript_heads_each_day() -> None:
    shown = transcript([message("one"), message("two"), message("three", sent_at=MONDAY.replace(day=3))])
    assert shown.splitlines() == [
        "[Monday 2026-03-02]", "user demo: one", "user demo: two", "[Tuesday 2026-03-03]", "user demo: three",
    ]  # fmt: skip


def test_an_embedded_message_comes_before_its_context() -> None:
    assert embedding_text(message("In Porto."), message("Where do you live?")) == "In Porto.\nWhere do you live?"
    assert embedding_text(message("In Porto."), None) == "In Porto."
    assert embedding_text(message("", tool_calls=({"name": "weather"},)), None) == "user demo: [called weather()]"


@pytest.mark.parametrize(
    ("text", "tokens"),  # counted by SmolLM2's tokenizer
    [
        ("I moved from Santiago to Lima in June and the rent is 1,200 dollars a month. " * 5, 115),
        ("Hola, abrí una empresa en Valparaíso en 2021 y facturo unos 3.500.000 pesos al mes. " * 5, 210),
        ("我下个月从圣地亚哥搬到利马、房租是每月一千二百美元。" * 5, 250),
        ("Я переезжаю из Сантьяго в Лиму в июне, аренда стоит 1200 долларов в месяц. " * 5, 286),
        ("0123456789" * 60, 600),
    ],
)
def test_tokens_are_over_estimated_within_bounds(text: str, tokens: int) -> None:
    assert tokens * 0.95 <= estimate_tokens(text) <= tokens * 2.5


def bounded_by(text: str) -> int:
    """Count as the docstring of `estimate_tokens` says it, letter by letter."""
    total = letters = spaces = 0
    for character in f"{text}\0":
        lower, capital = "a" <= character <= "z", "A" <= character <= "Z"
        if not lower or not letters:
            total += -(-letters // 3)
            letters = 0
        if character != "\n" and character.isspace():
            spaces += 1
            continue
        total += spaces > 1
        spaces = 0
        if lower or capital:
            letters += 1
        else:
            total += len(character.encode("utf-8", "surrogatepass"))
    return total - 1


@settings(deadline=None, database=None, max_examples=500)
@given(st.text(st.one_of(st.sampled_from("aBz \n\t\u00a0\u00e9\U0001f642"), st.characters())))
@example("HELLOworld  Ab abcd\n\n \u3000 \ud800")
def test_tokens_are_counted_by_letters_and_bytes(text: str) -> None:
    assert estimate_tokens(text) == bounded_by(text)
    assert estimate_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("text", ["word " * 500, "ñandú " * 300, "漢字" * 400, "x" * 3_000, "🙂" * 200, "\n" * 900])
@pytest.mark.parametrize("most", [0, 3, 10, 57, 200])
def test_a_shortened_text_keeps_head_and_tail_within_its_bound(text: str, most: int) -> None:
    shown = shorten(text, most)
    assert estimate_tokens(shown) <= most
    if shown:
        head, tail = shown.split(GAP)
        assert text.startswith(head)
        assert text.endswith(tail)


def test_what_fits_is_not_shortened() -> None:
    assert shorten("short", 10) == "short"


@pytest.mark.parametrize("most", [120, 1_000])
@pytest.mark.parametrize("previous", ["", "We talked of Lima. " * 30])
def test_the_rolling_input_is_bounded_and_keeps_each_part(previous: str, most: int) -> None:
    parts = ["The rent is due on Friday. " * 10, "Short.", "The cat is well. " * 10]
    kept, shown = rolling_input(previous, parts, max_tokens=most)
    assert estimate_tokens(kept) + estimate_tokens(shown) <= most
    assert bool(kept) == bool(previous)
    assert shown.count("- ") >= len(parts)


@pytest.mark.parametrize("count", [3, 50, 200, 2_000])
@pytest.mark.parametrize("most", [60, 1_500])
def test_of_very_many_parts_the_newest_say_something(count: int, most: int) -> None:
    parts = [f"On day {number} the user paid the rent of the flat in Lima and fed the cat." for number in range(count)]
    _, shown = rolling_input("", parts, max_tokens=most)
    lines = shown.splitlines()
    assert estimate_tokens(shown) <= most
    assert all(len(line) > 20 for line in lines)
    assert lines[-1].startswith(f"- On day {count - 1}")
