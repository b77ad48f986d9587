"""What Temporal's UI and command line ask to show what is encrypted, and to encrypt what people type."""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence

from afterturn_client.errors import PayloadKeyError
from fastapi import APIRouter
from pydantic import Base64Bytes, BaseModel, Field
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from services.credential import Credential
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import not_found, wrong_field

PREFIX = "/v1/codec"
router = APIRouter(prefix=PREFIX, tags=["Operators"])
Code = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]


class PayloadJson(BaseModel):
    """A payload as Temporal writes it in JSON: whatever is bytes is base64."""

    metadata: dict[str, Base64Bytes] = Field(default_factory=dict)
    data: Base64Bytes = b""


class PayloadsJson(BaseModel):
    payloads: list[PayloadJson] = Field(default_factory=list)


@router.post("/decode", responses=problems(404, 413), summary="Decrypt payloads for Temporal's UI")
async def decode(body: PayloadsJson, api: ApiParam, caller: Admin) -> PayloadsJson:
    """Open what one of our keys encrypted; what is not encrypted comes back as it is."""
    codec = _codec(api, caller)
    return await _coded(body, codec.decode) if codec else body


@router.post("/encode", responses=problems(404, 413), summary="Encrypt payloads for Temporal's command line")
async def encode(body: PayloadsJson, api: ApiParam, caller: Admin) -> PayloadsJson:
    """Encrypt with the first of our keys; without any, payloads come back as they are."""
    codec = _codec(api, caller)
    return await _coded(body, codec.encode) if codec else body


def _codec(api: Api, caller: Credential) -> PayloadCodec | None:
    # Payloads name everybody's rooms.
    if caller.tenant is not None:
        raise not_found("route")
    return api.resources.temporal.data_converter.payload_codec


async def _coded(body: PayloadsJson, code: Code) -> PayloadsJson:
    given = [Payload(metadata=one.metadata, data=one.data) for one in body.payloads]
    try:
        coded = await code(given)
    except PayloadKeyError:
        raise wrong_field("body.payloads", "what a key of AFTERTURN_PAYLOAD_KEYS encrypted") from None
    return PayloadsJson(payloads=[_json(payload) for payload in coded])


def _json(payload: Payload) -> PayloadJson:
    metadata = {name: b64encode(value) for name, value in payload.metadata.items()}
    return PayloadJson(metadata=metadata, data=b64encode(payload.data))
