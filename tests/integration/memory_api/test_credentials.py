"""Who is let in, and for what: keys, tokens, and whoever is on this machine."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.domain.credentials import SCOPES, make_key
from services.memory_api.server import where_to_listen
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources
from services.settings import MemoryApiSettings
from tests.support.memory_api import CallAs, Caller, StartApi, add_members, turn
from tests.support.served import served

ISSUER, AUDIENCE = "https://login.example.org/", "afterturn"
# A request of each scope that succeeds with it.
NEEDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ingest": ("POST", "/v1/rooms/user:ana/messages", {"json": turn("hello", user_id="ana")}),
    "read": ("GET", "/v1/users/ana/memories", {}),
    "write": ("POST", "/v1/users/ana/memories", {"json": {"memories": [{"slug": "a", "content": "b"}]}}),
    "admin": ("GET", "/v1/quarantine", {}),
}
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def key_set() -> dict[str, Any]:
    rsa_key = jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
    ec_key = jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key(), as_dict=True)
    return {"keys": [{**rsa_key, "kid": "rsa"}, {**ec_key, "kid": "ec"}]}


def token(*, key: Any = RSA, algorithm: str = "RS256", kid: str = "rsa", **claims: Any) -> str:
    now = datetime.now(UTC)
    said = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + timedelta(minutes=5), "sub": "ana", "scope": "read ingest"}
    given = {name: value for name, value in {**said, **claims}.items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid})


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


async def ask(url: str, given: str | None, path: str = "/v1/users/ana/memories", **headers: str) -> int:
    named = {**({"Authorization": f"Bearer {given}"} if given else {}), **headers}
    sent = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    async with httpx.AsyncClient(base_url=url, headers=sent, trust_env=False, timeout=30) as client:
        return (await client.get(path)).status_code


@pytest.fixture
async def token_url(start_api: StartApi, resources: Resources, tmp_path: Path) -> str:
    file = tmp_path / "jwks.json"
    file.write_text(httpx.Response(200, json=key_set()).text)
    await add_members(resources.database)
    return await start_api(memory_api_jwks_file=file, memory_api_jwt_issuer=ISSUER, memory_api_jwt_audience=AUDIENCE)


async def test_a_key_may_do_what_its_scopes_say(call_as: CallAs) -> None:
    for scope in SCOPES:
        caller = await call_as(scopes=(scope,))
        for needed, (method, path, request) in NEEDS.items():
            answer = await caller.request(method, path, **request)
            expected = answer.is_success if scope in (needed, "admin") else answer.status_code == 403
            assert expected, (scope, needed, answer.text)


async def test_without_a_valid_key_nobody_is_let_in(api_url: str, service: Caller, resources: Resources) -> None:
    keys = ApiKeys(resources.database)
    expired, wrong = make_key(), make_key()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await keys.add(expired, name="old", scopes=("admin",), binding=Binding(), expires_at=yesterday)
    real = str(service.headers["Authorization"]).removeprefix("Bearer ")
    forged = f"{real[:17]}{wrong.key[17:]}"
    for given in (None, expired.key, wrong.key, forged, real[:-1], "nonsense", "é", f"{real} {real}"):
        assert await ask(api_url, given) == 401, given
    answer = await service.get("/v1/users/ana/memories", headers={"Authorization": f"Basic {real}"})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="afterturn"')
    assert real not in answer.text


async def test_keys_are_made_listed_and_revoked(api_url: str, service: Caller, resources: Resources) -> None:
    body = {"name": "chat", "scopes": ["read"], "user_id": "ana"}
    made = (await service.post("/v1/keys", json=body)).json()
    assert await ask(api_url, made["key"]) == 200
    listed = (await service.get("/v1/keys")).text
    assert made["prefix"] in listed
    assert made["key"] not in listed
    async with resources.database.transaction() as session:
        assert made["key"] not in str((await session.execute(text("select api_keys::text from api_keys"))).all())
        assert await session.scalar(text("select last_used_at is not null from api_keys where name = 'chat'"))
    for _ in range(2):
        assert (await service.delete(f"/v1/keys/{made['id']}")).status_code == 204
    assert await ask(api_url, made["key"]) == 401
    first = (await service.get("/v1/keys", params={"limit": 1})).json()
    rest = (await service.get("/v1/keys", params={"cursor": first["next_cursor"]})).json()
    assert [key["name"] for key in [*first["keys"], *rest["keys"]]] == ["test", "chat"]


async def test_a_bound_admin_makes_keys_that_are_bound_as_it_is(call_as: CallAs) -> None:
    admin = await call_as(company="acme", scopes=("admin",))
    made = await admin.post("/v1/keys", json={"name": "mine", "scopes": ["read"]})
    assert made.json()["company_id"] == "acme"
    for binding in ({"company_id": "globex"}, {"user_id": "ana"}, {"user_id": "ana", "company_id": "acme"}):
        refused = await admin.post("/v1/keys", json={"name": "more", "scopes": ["read"], **binding})
        assert refused.status_code == 403


async def test_until_a_key_is_made_this_machine_needs_none(start_api: StartApi, environment: None) -> None:
    url = await start_api()
    assert await ask(url, None) == 200
    # A web page in a browser on this machine is not somebody on this machine.
    assert await ask(url, None, Host="rebound.example.org") == 401
    assert await ask(url, None, Origin="https://example.org") == 401
    assert await ask(url, None, Origin="http://[") == 401
    # Nor is whoever comes by a proxy on it.
    assert await ask(url, None, **{"X-Forwarded-For": "192.0.2.7"}) == 401
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as anybody:
        made = await anybody.post("/v1/keys", json={"name": "first", "scopes": ["admin"]})
    assert await ask(url, None) == 401
    assert await ask(url, made.json()["key"]) == 200
    with_key = {"Authorization": f"Bearer {made.json()['key']}"}
    async with httpx.AsyncClient(base_url=url, headers=with_key, timeout=30, trust_env=False) as first:
        assert (await first.delete(f"/v1/keys/{made.json()['id']}")).status_code == 204
    # The last key revoked leaves nobody in, and not everybody.
    assert await ask(url, None) == 401


async def test_beyond_loopback_nobody_is_let_in_without_a_credential(start_api: StartApi) -> None:
    url = await start_api(memory_api_host="0.0.0.0")  # noqa: S104  what it is told; the test serves it on loopback
    assert await ask(url, None) == 401
    assert await ask(url, None, "/health") == 200


async def test_tokens_say_who_asks_and_what_they_may_do(token_url: str) -> None:
    assert await ask(token_url, token()) == 200
    assert await ask(token_url, token(key=EC, algorithm="ES256", kid="ec", scope=["read"])) == 200
    assert await ask(token_url, token(sub="ben")) == 404
    assert await ask(token_url, token(scope="ingest")) == 403
    assert await ask(token_url, token(scope=None)) == 403
    assert await ask(token_url, token(company_id="acme", sub=None), "/v1/companies/acme/memories") == 200
    assert await ask(token_url, token(), "/v1/companies/globex/memories") == 404


async def test_a_token_that_is_not_to_be_believed_is_refused(token_url: str) -> None:
    public = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    past = datetime.now(UTC) - timedelta(hours=1)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header = json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa"}).encode()
    said = f"{encoded(header)}.{token().split('.')[1]}"
    unsigned = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "scope": "admin"}, "", algorithm="none")
    for given in (
        token(iss="https://elsewhere.example.org/"),
        token(aud="something else"),
        token(exp=past),
        token(exp=None),
        token(aud=None),
        token(nbf=datetime.now(UTC) + timedelta(hours=1)),
        token(sub=None),
        token(sub="ana@example.org"),
        token(key=other),
        token(kid="unknown"),
        f"{said}.{encoded(hmac.digest(public, said.encode(), 'sha256'))}",
        unsigned,
        token()[:-2],
        None,
    ):
        assert await ask(token_url, given) == 401, given


async def test_the_keys_of_a_url_are_read_again_when_a_token_names_a_new_one(
    start_api: StartApi, resources: Resources
) -> None:
    known = {"keys": [key_set()["keys"][0]]}
    asked = 0

    async def keys(_request: object) -> JSONResponse:
        nonlocal asked
        asked += 1
        return JSONResponse(known)

    async with served(Starlette(routes=[Route("/keys", keys)])) as keys_url:
        url = await start_api(
            memory_api_jwks_url=f"{keys_url}/keys", memory_api_jwt_issuer=ISSUER, memory_api_jwt_audience=AUDIENCE
        )
        assert await ask(url, token()) == 200
        known["keys"] = key_set()["keys"]
        assert await ask(url, token(key=EC, algorithm="ES256", kid="ec")) == 200
        before = asked
        for number in range(3):
            assert await ask(url, token(kid=f"never {number}")) == 401
        assert asked == before
    # What was read counts on while nobody can be asked.
    assert await ask(url, token()) == 200


async def test_without_keys_that_can_be_read_a_token_may_be_shown_again(start_api: StartApi, environment: None) -> None:
    answers: list[Any] = ["<html>", [], {"keys": "none"}, {"keys": ["none"]}, {"keys": []}, key_set()]

    async def keys(_request: object) -> JSONResponse:
        return JSONResponse(answers.pop(0))

    async with served(Starlette(routes=[Route("/keys", keys)])) as keys_url:
        url = await start_api(
            memory_api_jwks_url=f"{keys_url}/keys", memory_api_jwt_issuer=ISSUER, memory_api_jwt_audience=AUDIENCE
        )
        assert [await ask(url, token()) for _ in range(6)] == [503, 503, 503, 503, 503, 200]


def test_without_a_credential_it_listens_on_loopback_only(environment: None) -> None:
    asked = MemoryApiSettings(_env_file=None, memory_api_host="0.0.0.0")  # noqa: S104  it must not be obeyed
    assert where_to_listen(asked).memory_api_host == "127.0.0.1"
