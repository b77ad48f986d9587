"""Encrypts what Temporal keeps of a run: inputs, results, heartbeats, failures. It needs `cryptography`."""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from afterturn_client.errors import PayloadKeyError
from afterturn_client.payload_keys import PayloadKeys

ENCODING = b"binary/encrypted"
KEY_NAME = "encryption-key-id"
_NONCE_BYTES = 12


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM with one of the keys; what any of them encrypted is read, and so is what nobody encrypted.

    So keys are rotated, and encryption is begun, while old runs go on.
    """

    def __init__(self, keys: PayloadKeys) -> None:
        self._ciphers = {name.encode(): AESGCM(key) for name, key in keys.by_name.items()}
        self._encrypting = keys.encrypting.encode() if keys.encrypting else None

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        name = self._encrypting
        return [self._encrypted(payload, name) for payload in payloads] if name else list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._opened(payload) if _is_encrypted(payload) else payload for payload in payloads]

    def _encrypted(self, payload: Payload, name: bytes) -> Payload:
        # A nonce is used once with a key: random, two meet after some 2^48 payloads.
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[name].encrypt(nonce, payload.SerializeToString(), name)
        return Payload(metadata={"encoding": ENCODING, KEY_NAME: name}, data=nonce + sealed)

    def _opened(self, payload: Payload) -> Payload:
        """Raise `PayloadKeyError` where we have not the key: a worker with it goes on later."""
        name = payload.metadata.get(KEY_NAME, b"")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise PayloadKeyError(name.decode(errors="replace"), "is not among the keys")
        try:
            opened = cipher.decrypt(payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], name)
        except (InvalidTag, ValueError):
            raise PayloadKeyError(name.decode(errors="replace"), "does not open it") from None
        return Payload.FromString(opened)


def _is_encrypted(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == ENCODING
