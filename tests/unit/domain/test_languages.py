import json
from pathlib import Path

import pytest

from services.domain.languages import language_of

SAMPLE = Path(__file__).parents[3] / "services/sample/conversation.jsonl"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Can you check when I'm free this week?", "english"),
        ("thanks, that's great", "english"),
        ("What's the deposit? I forgot to ask.", "english"),
        ("¿Hasta cuándo tengo plazo para declararlo?", "spanish"),
        ("Mi contadora solo trabaja los martes y los jueves", "spanish"),
        ("Perfecto, muchas gracias por la ayuda", "spanish"),
        ("Não sei se você já tem o endereço, mas posso mandar hoje", "portuguese"),
        ("Je ne sais pas encore où nous allons habiter", "french"),
        ("Ich weiß noch nicht, wann wir umziehen", "german"),
        ("Non so ancora quando possiamo fare il trasloco, ma ti scrivo domani", "italian"),
        ("Я переезжаю в Лиму в июне", "simple"),
        ("我下个月搬到利马", "simple"),
    ],
)
def test_names_the_language_of_a_chat_line(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "ok", "12.345", "Valparaíso", "🙂🙂", "de la"])
def test_answers_the_default_when_it_cannot_say(text: str) -> None:
    assert language_of(text) == "simple"
    assert language_of(text, "spanish") == "spanish"


def test_a_foreign_name_does_not_change_the_language() -> None:
    text = "I moved to a flat on Cerro Barón, near the Plaza de la Victoria, and the rent is fine for me."
    assert language_of(text) == "english"


def test_the_sample_is_told_apart() -> None:
    lines = [json.loads(one) for one in SAMPLE.read_text(encoding="utf-8").splitlines()]
    spanish_days = {"2026-03-04", "2026-03-16"}
    talk = [
        one for one in lines if one["role"] in {"user", "assistant"} and one["content"] and "-27T" not in one["sent_at"]
    ]
    right = sum(
        language_of(one["content"], "spanish" if one["sent_at"][:10] in spanish_days else "english")
        == ("spanish" if one["sent_at"][:10] in spanish_days else "english")
        for one in talk
    )
    assert right == len(talk)
