from pathlib import Path

import pytest
from dotenv import dotenv_values

from services import settings
from services.domain.errors import InvalidInputError
from services.settings import BufferSettings, RedisSettings, ResourceSettings, WorkerSettings, load

EXAMPLE = Path(__file__).parents[2] / "compose" / ".env.example"
CLASSES = [
    kind
    for kind in vars(settings).values()
    if isinstance(kind, type) and issubclass(kind, ResourceSettings) and kind is not ResourceSettings
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_example_names_every_setting(kind: type[ResourceSettings]) -> None:
    text = EXAMPLE.read_text()
    for name in kind.model_fields:
        assert f"{name.upper()}=" in text


def test_the_example_gives_each_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = {name.lower(): value for name, value in dotenv_values(EXAMPLE).items() if value}
    for kind in CLASSES:
        ours = {name: value for name, value in given.items() if name in kind.model_fields}
        optional = {name for name, field in kind.model_fields.items() if field.default is None}
        default = kind()
        for name, value in kind.model_validate(ours).model_dump().items():
            if name not in optional:
                assert value == getattr(default, name), name


@pytest.mark.parametrize(
    ("kind", "variable", "value", "takes"),
    [
        (RedisSettings, "REDIS_URL", "localhost", "rediss"),
        (BufferSettings, "BATCH_SIZE", "many", "integer"),
        (BufferSettings, "LINGER_SECONDS", "0", "greater than 0"),
        (WorkerSettings, "TASK_QUEUES", "memory,disk", "memory"),
    ],
)
def test_a_bad_value_names_the_variable_and_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, kind: type[ResourceSettings], variable: str, value: str, takes: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInputError) as failure:
        load(kind)
    assert failure.value.field == variable
    assert takes in failure.value.takes
