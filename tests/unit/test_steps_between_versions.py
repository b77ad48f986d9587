"""While workers are replaced, runs of the older code get answers of the newer code's steps."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import ValidationError

from activities.steps import RoomInput, Step

ACTIVITIES = Path(__file__).parents[2] / "activities"


def answers() -> Iterator[type[Step]]:
    """Give what steps answer with, but states that only their own code reads: they are input again."""
    for path in sorted(ACTIVITIES.glob("*.py")):
        kinds = inspect.getmembers(import_module(f"activities.{path.stem}"), inspect.isclass)
        methods = [method for _, kind in kinds for _, method in inspect.getmembers(kind, inspect.isfunction)]
        for method in methods:
            if hasattr(method, "__temporal_activity_definition"):
                answer: object = get_type_hints(method).get("return")
                if isinstance(answer, type) and issubclass(answer, Step) and not answer.__name__.endswith("State"):
                    yield answer


@pytest.mark.parametrize("answer", sorted(set(answers()), key=str))
def test_an_answer_may_say_more_than_is_known(answer: type[Step]) -> None:
    assert answer.model_config["extra"] == "ignore"


def test_an_input_may_not() -> None:
    with pytest.raises(ValidationError, match="rooom"):
        RoomInput.model_validate({"room_id": "room:a", "rooom": "a"})
