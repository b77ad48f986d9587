"""Reads tokens (JWT) that somebody else signed: which keys count, and what the claims say."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
from afterturn_client.rooms import is_id

from services.credential import Credential
from services.domain.credentials import SCOPES
from services.domain.errors import TransientError
from services.memory_api.remembered import Remembered
from services.postgres.api.keys import Binding
from services.settings import MemoryApiSettings

# Keys that two sides share are none: whoever could check a token could make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
KEYS_SECONDS = 300.0
KEYS_SECONDS_AWAY = 86_400.0
LOOK_AGAIN_SECONDS = 10.0
LEEWAY_SECONDS = 30
_ASK_SECONDS = 5.0


class TokenRefusedError(Exception):
    """The token is not one that is believed."""


class Tokens:
    """The keys are read again every five minutes, and at once for a token that names an unknown one, not too often."""

    def __init__(self, settings: MemoryApiSettings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._keys = Remembered[str, dict[str, Any]](seconds=KEYS_SECONDS, seconds_away=KEYS_SECONDS_AWAY)
        self._looked_again_at = float("-inf")

    async def read(self, token: str) -> Credential:
        """Raise `TokenRefusedError`, and `TransientError` where the keys cannot be read."""
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(str(header.get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._settings.memory_api_jwt_audience,
                issuer=self._settings.memory_api_jwt_issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenRefusedError(type(error).__name__) from None
        return self._credential(claims)

    async def _key(self, kid: str) -> jwt.PyJWK:
        keys = await self._keys.get("keys", self._load)
        if (keys is None or not _find(keys, kid)) and self._may_look_again():
            keys = await self._keys.again("keys", self._load)
        found = _find(keys or {}, kid)
        if found is None:
            raise TokenRefusedError("unknown key")
        return found

    def _may_look_again(self) -> bool:
        """Answer yes once in a while: anybody may name unknown keys, and must not make us ask all the time."""
        now = time.monotonic()
        if now - self._looked_again_at < LOOK_AGAIN_SECONDS:
            return False
        self._looked_again_at = now
        return True

    async def _load(self) -> dict[str, Any]:
        """Raise `TransientError` for what is no set of keys too: those that were read before count on."""
        try:
            return _keys_of(await self._read())
        except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError) as error:
            raise TransientError(f"the keys that sign tokens cannot be read ({type(error).__name__})") from None

    async def _read(self) -> str:
        if file := self._settings.memory_api_jwks_file:
            return Path(file).read_text()  # noqa: ASYNC240  a small local file
        answer = await self._http.get(str(self._settings.memory_api_jwks_url), timeout=_ASK_SECONDS)
        answer.raise_for_status()
        return answer.text

    def _credential(self, claims: dict[str, Any]) -> Credential:
        """Name the person, the company or both: a token that names nobody is refused, as it would see all."""
        settings = self._settings
        user_id = _id(claims.get(settings.memory_api_jwt_user_claim))
        company_id = _id(claims.get(settings.memory_api_jwt_company_claim))
        if user_id is None and company_id is None:
            raise TokenRefusedError("names nobody")
        given = claims.get(settings.memory_api_jwt_scope_claim) or []
        words = given.split() if isinstance(given, str) else [str(word) for word in given]
        scopes = frozenset(scope for scope in SCOPES if scope in words)
        # An id holds no slash: two tokens of different bindings never share a name.
        return Credential(f"token:{user_id or ''}/{company_id or ''}", scopes, Binding(user_id, company_id))


def _keys_of(text: str) -> dict[str, Any]:
    document = json.loads(text)
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise jwt.PyJWKSetError("no set of keys")
    jwt.PyJWKSet.from_dict(document)
    return {"keys": keys}


def _find(document: dict[str, Any], kid: str) -> jwt.PyJWK | None:
    keys = jwt.PyJWKSet.from_dict(document).keys if document else []
    for key in keys:
        if key.key_id == kid or (not kid and len(keys) == 1):
            return key
    return None


def _id(claim: object) -> str | None:
    if claim is None:
        return None
    if not isinstance(claim, str) or not is_id(claim):
        raise TokenRefusedError("an id is none of ours")
    return claim
