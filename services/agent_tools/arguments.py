"""What each tool takes. Who asks is no argument of any: the credential says it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.domain.memories import MAX_SLUG, Kind
from services.domain.sections import MAX_KEY
from services.memories.context import LEAST_BUDGET

MOST_CONTENT = 4_000
MOST_QUERY = 1_000
MOST_TOKENS = 20_000
MOST_FOUND = 50


def _storable(text: str) -> str:
    if "\x00" in text or not text.strip():
        raise ValueError("text that is not blank and has no NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("text in Unicode, without lone surrogates") from None
    return text


class Arguments(BaseModel):
    """A null counts as left out: in strict tool calling a model has to name every argument."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any) -> Any:  # noqa: ANN401  whatever a model has made up
        if not isinstance(given, dict):
            return given
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in given.items() if not (value is None and name in optional)}


Query = Annotated[
    str,
    Field(min_length=1, max_length=MOST_QUERY, description="What to look for: a question, or words."),
    AfterValidator(_storable),
]
Slug = Annotated[
    str,
    Field(
        pattern=rf"^[a-z0-9][a-z0-9_.:-]{{0,{MAX_SLUG - 1}}}$",
        description="The memory's name: lower-case letters, digits and _ . : -, as in user_home_city.",
    ),
]
Content = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MOST_CONTENT,
        description="One statement that is clear without the conversation: who, what, and when where that matters.",
    ),
    AfterValidator(_storable),
]
KindOfMemory = Annotated[
    Kind,
    Field(
        description="semantic: what is true. episodic: what happened. procedural: how to do something, or to behave."
    ),
]
Kinds = Annotated[
    list[Kind],
    Field(
        min_length=1,
        max_length=3,
        description="Only these: semantic is what is true, episodic what happened, procedural how to do or behave.",
    ),
]
_ALL: list[Kind] = ["semantic", "episodic", "procedural"]
Limit = Annotated[int, Field(ge=1, le=MOST_FOUND, description="How many memories at the most.")]


class SearchMemory(Arguments):
    query: Query
    kinds: Kinds = _ALL
    limit: Limit = 8


class SaveMemory(Arguments):
    slug: Slug
    content: Content
    kind: KindOfMemory = "semantic"


class GetContext(Arguments):
    query: Query | None = Field(
        None, description="What the memories should help with. If left out, the last thing that the user said."
    )
    room_id: Annotated[str, Field(pattern=r"^(user|room):[A-Za-z0-9_.:-]{1,195}$")] | None = Field(
        None, description="The conversation, as in room:support-7. If left out, the user's own room."
    )
    token_budget: int = Field(1_500, ge=LEAST_BUDGET, le=MOST_TOKENS, description="How many tokens it may take.")


class DeleteMemory(Arguments):
    about: Literal["user", "company"] = Field(description="Whether it is a memory of the user or of the company.")
    slug: Slug


_Value = Annotated[
    str,
    Field(min_length=1, max_length=MOST_CONTENT, description="What to keep, word for word."),
    AfterValidator(_storable),
]


class SearchFacts(Arguments):
    query: Query
    limit: Annotated[int, Field(ge=1, le=MOST_FOUND, description="How many facts at the most.")] = 8


class GetValue(Arguments):
    key: Annotated[
        str, Field(min_length=1, max_length=MAX_KEY, description="The key that it was stored under, as it was written.")
    ]


class KeepValue(Arguments):
    key: Annotated[
        str,
        Field(
            pattern=rf"^[a-z0-9][a-z0-9_.:-]{{0,{MAX_KEY - 1}}}$",
            description="Its name: lower-case letters, digits and _ . : -, as in shoe_size.",
        ),
    ]
    value: _Value
