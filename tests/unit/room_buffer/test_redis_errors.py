import pytest
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    OutOfMemoryError,
    RedisClusterException,
    ResponseError,
)

from services.domain.errors import PermanentError, TransientError
from services.room_buffer.scripts import domain_errors, script

SECRET = "my-secret-words"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AuthenticationError(SECRET), "Redis: AuthenticationError"),
        (ClusterDownError(SECRET), "Redis: ClusterDownError"),
        (RedisClusterException(SECRET), "Redis: RedisClusterException"),
        (TimeoutError(SECRET), "Redis: TimeoutError"),
        (OSError(SECRET), "Redis: OSError"),
        (OutOfMemoryError(f"OOM {SECRET}"), "Redis: it is full"),
        (ResponseError(f"ERR script: -OOM command not allowed {SECRET}"), "Redis: it is full"),
        (ResponseError(f"ERR unknown command, with args {SECRET}"), "Redis: ResponseError"),
    ],
)
def test_an_error_of_redis_is_transient_and_in_our_words(error: Exception, message: str) -> None:
    with pytest.raises(TransientError) as caught, domain_errors():
        raise error
    assert str(caught.value) == message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_key_of_another_type_stays_so() -> None:
    with pytest.raises(PermanentError) as caught, domain_errors():
        raise ResponseError(f"WRONGTYPE {SECRET}")
    assert SECRET not in str(caught.value)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), domain_errors():
        raise KeyError


@pytest.mark.parametrize(
    "names",
    [
        ("take", "claim"),
        ("take", "release"),
        ("peek",),
        ("buffered",),
        ("adopt",),
        ("take_invalid",),
        ("drop_invalid",),
    ],
)
def test_the_scripts_are_packaged(names: tuple[str, ...]) -> None:
    assert "redis.call" in script(*names).text
    assert script(*names) is script(*names)
