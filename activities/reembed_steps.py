"""What the steps of a re-embedding take and give: names and counts, never content."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from activities.steps import Step, StepResult

# As the proxy knows it: no content, and no URL.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,199}$")]


class ModelInput(Step):
    model: ModelName


class BegunReembed(StepResult):
    """`role` is `current` where nothing is left to do; `missing` are the vectors that the model lacks."""

    role: Literal["current", "shadow", "former"]
    dimensions: int
    missing: int = 0


class FillState(Step):
    """How far the pages are: `embedded` counts what was brought by all of them."""

    part: Literal["items", "memories", "facts"] = "items"
    after: UUID = UUID(int=0)
    embedded: int = 0
    finished: bool = False

    def again(self) -> "FillState":
        """Begin at the first page again: what was left out meanwhile is found."""
        return FillState(embedded=self.embedded)


class FillInput(ModelInput):
    state: FillState
    max_per_second: float | None = None


class CheckedRecall(StepResult):
    """The share of the nearest by an exact scan that search finds, over `sampled` texts."""

    recall: float
    sampled: int


class SwitchedModel(StepResult):
    """`missing` is why nothing was switched; 0 where it was."""

    missing: int


class ReembedResult(Step):
    """Without `switched` the model was current already."""

    model: str
    switched: bool
    dimensions: int
    embedded: int = 0
    recall: float | None = None
