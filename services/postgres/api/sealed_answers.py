"""An answer that only whoever repeats the request can read: no table knows whom it was about."""

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    body: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An `Idempotency-Key` belongs to one credential and one route."""

    credential: str
    route: str
    key: str

    def hashed(self) -> str:
        return self._derived(b"key").hex()

    def fingerprint(self, request: bytes) -> bytes:
        """Tell a request from others under this key."""
        return self._derived(b"fingerprint", request)

    def sealed(self, request: bytes, answer: Answered) -> str:
        """Encrypt it (AES-256-GCM) with what only this request under this key gives."""
        nonce = os.urandom(_NONCE_BYTES)
        return b64encode(
            nonce + self._cipher(request).encrypt(nonce, json.dumps(asdict(answer)).encode(), None)
        ).decode()

    def opened(self, request: bytes, sealed: str) -> Answered:
        raw = b64decode(sealed)
        return Answered(**json.loads(self._cipher(request).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)))

    def _cipher(self, request: bytes) -> AESGCM:
        return AESGCM(self._derived(b"answer", request))

    def _derived(self, purpose: bytes, request: bytes = b"") -> bytes:
        secret = json.dumps([self.credential, self.route, self.key]).encode()
        return hmac.new(secret, purpose + b"\n" + request, hashlib.sha256).digest()
