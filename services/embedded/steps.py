"""How the stack says what it is doing; whoever starts it decides how that looks."""

from collections.abc import Callable
from typing import Literal

StepState = Literal["working", "ready", "died", "failed", "stopped", "note"]
# Called with what it is about ("Temporal"), its state, and a sentence for a person ("" when there is nothing to add).
OnStep = Callable[[str, StepState, str], None]


def silent(name: str, state: StepState, detail: str) -> None:
    del name, state, detail
