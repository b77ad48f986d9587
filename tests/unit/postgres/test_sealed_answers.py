import pytest
from cryptography.exceptions import InvalidTag

from services.postgres.api.sealed_answers import Answered, RequestKey

KEY = RequestKey("token:user=ana", "POST /v1/users/{owner_id}/memories", "k")
OTHERS = [
    RequestKey("token:user=ben", KEY.route, KEY.key),
    RequestKey(KEY.credential, "POST /v1/users/{owner_id}/commands", KEY.key),
    RequestKey(KEY.credential, KEY.route, "other"),
]
ANSWER = Answered(201, '{"slug": "user_city"}', "/v1/users/ana/memories/user_city")


def test_the_same_request_under_the_same_key_opens_its_answer() -> None:
    sealed = KEY.sealed(b"I live in Lima", ANSWER)
    assert KEY.opened(b"I live in Lima", sealed) == ANSWER
    assert sealed != KEY.sealed(b"I live in Lima", ANSWER)


@pytest.mark.parametrize("key", OTHERS)
def test_nobody_else_opens_it_or_is_taken_for_it(key: RequestKey) -> None:
    sealed = KEY.sealed(b"I live in Lima", ANSWER)
    with pytest.raises(InvalidTag):
        key.opened(b"I live in Lima", sealed)
    with pytest.raises(InvalidTag):
        KEY.opened(b"I live in Quito", sealed)
    assert key.hashed() != KEY.hashed()
    assert key.fingerprint(b"I live in Lima") != KEY.fingerprint(b"I live in Lima")
