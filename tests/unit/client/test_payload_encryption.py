"""What Temporal is handed to keep, sealed and opened again."""

from base64 import b64encode

import pytest
from afterturn_client.errors import InvalidFieldError, PayloadKeyError
from afterturn_client.payload_codec import EncryptingCodec
from afterturn_client.payload_keys import NO_KEYS, PayloadKeys, read_payload_keys
from afterturn_client.temporal_connection import data_converter, open_temporal
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from services.domain.errors import InvalidInputError
from services.settings import PayloadSettings, load

OLD, NEW = b"o" * 32, b"n" * 32
SAID = Payload(metadata={"encoding": b"json/plain"}, data=b'{"room_id":"user:ana"}')


def in_base64(key: bytes) -> str:
    return b64encode(key).decode()


def of(**keys: bytes) -> PayloadKeys:
    return PayloadKeys(keys, next(iter(keys)))


async def test_what_is_sealed_tells_nothing_and_opens_again() -> None:
    codec = EncryptingCodec(of(new=NEW))
    first, second = await codec.encode([SAID, SAID])
    assert b"ana" not in first.SerializeToString()
    assert first.data != second.data
    assert await codec.decode([first, SAID, second]) == [SAID, SAID, SAID]


async def test_keys_are_rotated() -> None:
    before, during, after = (EncryptingCodec(keys) for keys in (of(old=OLD), of(new=NEW, old=OLD), of(new=NEW)))
    [old] = await before.encode([SAID])
    [new] = await during.encode([SAID])
    assert await during.decode([old, new]) == [SAID, SAID]
    assert await after.decode([new]) == [SAID]
    with pytest.raises(PayloadKeyError, match="'old', which is not among the keys"):
        await after.decode([old])


async def test_what_was_tampered_with_does_not_open() -> None:
    codec = EncryptingCodec(of(new=NEW, old=OLD))
    [sealed] = await codec.encode([SAID])
    flipped = Payload.FromString(sealed.SerializeToString())
    flipped.data = flipped.data[:-1] + bytes([flipped.data[-1] ^ 1])
    renamed = Payload.FromString(sealed.SerializeToString())
    renamed.metadata["encryption-key-id"] = b"old"
    cut = Payload(metadata=sealed.metadata, data=b"short")
    for other in (flipped, renamed, cut):
        with pytest.raises(PayloadKeyError, match="does not open it"):
            await codec.decode([other])


async def test_failures_are_sealed_and_read_with_and_without_keys() -> None:
    with_keys, without = data_converter(of(new=NEW)), data_converter(NO_KEYS)
    sealed, plain = Failure(), Failure()
    await with_keys.encode_failure(ApplicationError("about user:ana", {"room": "user:ana"}, type="Lost"), sealed)
    await without.encode_failure(ApplicationError("about user:ana", type="Lost"), plain)
    assert b"ana" not in sealed.SerializeToString()
    for failure in (sealed, plain):
        read = await with_keys.decode_failure(failure)
        assert isinstance(read, ApplicationError)
        assert (read.message, read.type) == ("about user:ana", "Lost")


@pytest.mark.parametrize(
    "written",
    [
        in_base64(NEW),
        f":{in_base64(NEW)}",
        "new:",
        "new:not base64",
        f"new:{in_base64(NEW[:16])}",
        f"new:{in_base64(NEW)},",
        f"new:{in_base64(NEW)},new:{in_base64(OLD)}",
        f"n w:{in_base64(NEW)}",
        "none",
        f"new:{in_base64(NEW)},none",
    ],
)
async def test_wrong_keys_end_the_start_and_are_named_but_not_quoted(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERTURN_PAYLOAD_KEYS", written)
    with pytest.raises(InvalidInputError) as of_service:
        load(PayloadSettings)
    with pytest.raises(InvalidFieldError) as of_client:
        await open_temporal("127.0.0.1:1")
    for failure in (of_service.value, of_client.value):
        assert failure.field == "AFTERTURN_PAYLOAD_KEYS"
        assert "openssl rand -base64 32" in failure.takes
        assert in_base64(NEW) not in str(failure)


def test_keys_are_read_in_their_order() -> None:
    written = f"2026-11:{in_base64(NEW)}, 2026-01:{in_base64(OLD)}"
    assert read_payload_keys(written) == PayloadKeys({"2026-11": NEW, "2026-01": OLD}, "2026-11")


async def test_keys_that_only_decrypt_come_before_the_first_that_encrypts() -> None:
    codec = EncryptingCodec(read_payload_keys(f"none,new:{in_base64(NEW)}"))
    assert await codec.encode([SAID]) == [SAID]
    assert await codec.decode(await EncryptingCodec(of(new=NEW)).encode([SAID])) == [SAID]
    plain = Failure()
    converter = data_converter(read_payload_keys(f"none,new:{in_base64(NEW)}"))
    await converter.encode_failure(ApplicationError("lost", type="Lost"), plain)
    assert plain.message == "lost"
