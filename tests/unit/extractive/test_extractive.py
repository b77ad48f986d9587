import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from services.domain.messages import ArchivedMessage
from services.extractive import extract_rolling, extract_summary

TALK = [
    ("user", "I moved from Quito to Lima last week. The new flat has two rooms."),
    ("assistant", "Noted, I will use Lima for the weather. Anything else?"),
    ("user", "The rent is 1,200 soles a month, and the deposit is two months."),
    ("assistant", "So you pay 2,400 soles of deposit:\n- rent 1,200 soles\n- deposit 2,400 soles"),
    ("user", "ok"),
    ("user", "Mi hermana vive en Arequipa y viene el viernes con sus dos perros."),
]


def messages(*said: tuple[str, str], calls: tuple[dict[str, object], ...] = ()) -> list[ArchivedMessage]:
    return [
        ArchivedMessage(
            "user:demo", seq, str(seq), role, content, "demo", datetime(2026, 3, 2, tzinfo=UTC), tool_calls=calls
        )
        for seq, (role, content) in enumerate(said, start=1)
    ]


def test_sentences_are_verbatim_with_their_speaker_in_the_order_of_the_talk() -> None:
    summary = extract_summary(messages(*TALK), max_sentences=3)
    flat = [(role, content) for role, content in TALK]
    last = -1
    for line in summary.splitlines():
        speaker, text = line.split(": ", 1)
        place = next(at for at, (role, content) in enumerate(flat) if at > last and text.rstrip(".")[:20] in content)
        assert speaker == ("user demo" if flat[place][0] == "user" else "assistant")
        last = place
    assert summary.count("\n") <= 2


@pytest.mark.parametrize("content", ["ok", "🙂🙂", "", "   ", "...", "12", "漢字" * 300, "x" * 50_000, "\x00\ud800"])
def test_no_talk_makes_an_empty_summary(content: str) -> None:
    for talk in (messages(("user", content)), messages(*[("user", content)] * 5)):
        summary = extract_summary(talk, max_chars=200)
        assert 0 < len(summary) <= 200
        assert summary.startswith("user demo: ")


def test_tools_speak_only_where_nobody_else_does() -> None:
    call: tuple[dict[str, object], ...] = ({"name": "weather", "args": {"city": "Lima"}},)
    assert extract_summary(messages(("assistant", ""), calls=call)) == 'assistant: [called weather({"city": "Lima"})].'
    assert "27" in extract_summary(messages(("assistant", ""), ("tool", '{"max_c": 27}')))
    assert "max_c" not in extract_summary(
        messages(("tool", '{"max_c": 27}'), ("assistant", "It will be warm in Lima."))
    )


def test_it_stays_within_its_bounds() -> None:
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghij", k=6)) for _ in range(4_000)]
    talk = messages(
        *[("user", (" ".join(chance.choices(words, k=12)) + ". ") * 1 + (" ".join(words) + ". ")) for _ in range(60)]
    )
    extract_summary(messages(*TALK))
    started = time.process_time()
    assert len(extract_summary(talk, max_sentences=4, max_chars=500)) <= 500
    assert time.process_time() - started < 10


def test_every_process_chooses_the_same_sentences() -> None:
    code = (
        "from tests.unit.extractive.test_extractive import TALK, messages\n"
        "from services.extractive import extract_summary\n"
        "print(ascii(extract_summary(messages(*TALK), max_sentences=2)))\n"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True, check=True, timeout=60, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(shown) == 1


def test_importing_it_loads_neither_sumy_nor_numpy() -> None:
    code = "import sys, services.extractive; print(sorted({'sumy', 'numpy', 'nltk'} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        timeout=60,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert loaded.stdout.strip() == "[]"


def test_a_rolling_summary_keeps_the_newest_part_and_its_bound() -> None:
    previous = "\n".join(f"user demo: Fact number {number} about the garden and the house." for number in range(40))
    newest = "user demo: I moved to Cusco in May.\nassistant: Noted: Cusco."
    rolled = extract_rolling(previous, ["The rent went up. The cat is well.", newest], 600)
    assert len(rolled) <= 600
    assert newest.splitlines()[0] in rolled
    assert set(rolled.splitlines()) <= {
        *previous.splitlines(),
        *newest.splitlines(),
        "The rent went up.",
        "The cat is well.",
    }


def test_a_short_rolling_summary_is_kept_whole_and_once() -> None:
    assert extract_rolling("user demo: A.", ["user demo: A.", "user demo: B."], 600) == "user demo: A.\nuser demo: B."
    assert extract_rolling("", [], 600) == ""
    assert extract_rolling("", ["x" * 500], 100).endswith("…")


def test_thousands_of_empty_lines_are_read_once() -> None:
    """Backtracking over them took hours, and held up everybody else of the process."""
    said = "I keep:" + "\n" * 7_000 + "- a cat\n - a dog.\n" + " \n" * 400 + "I live in Lima."
    assert extract_summary(messages(("user", said))) == "user demo: I keep: a cat; a dog. I live in Lima."
