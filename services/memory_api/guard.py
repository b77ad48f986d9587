"""What a route asks of its caller: `caller: Reader` lets in whoever may read, and no one else."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.credential import Credential
from services.domain.credentials import Scope
from services.memory_api.api import Api, api_of
from services.memory_api.problems import forbidden, wrong_field

# Only so that it stands in the OpenAPI document: `Credentials` reads the header itself.
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="An API key (`afterturn keys create`), or a token (JWT) of the configured issuer.",
)

ApiParam = Annotated[Api, Depends(api_of)]


def _allowed(scope: Scope | None) -> Callable[..., Awaitable[Credential]]:
    async def check(
        request: Request, api: ApiParam, _given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> Credential:
        credential = await api.credentials.of(request)
        # Of two values the last would count, and whoever checked the first before us would be passed by.
        if len(request.query_params.multi_items()) > len(request.query_params):
            raise wrong_field("query", "each parameter once")
        if scope is not None and not credential.may(scope):
            raise forbidden(f"The credential lacks the scope `{scope}`.")
        return credential

    return check


Anyone = Annotated[Credential, Depends(_allowed(None))]
Ingester = Annotated[Credential, Depends(_allowed("ingest"))]
Reader = Annotated[Credential, Depends(_allowed("read"))]
Writer = Annotated[Credential, Depends(_allowed("write"))]
Admin = Annotated[Credential, Depends(_allowed("admin"))]
