import pytest
from starlette.datastructures import Headers

from services.llm_proxy.caller import NOBODY, Caller


def test_a_caller_is_read_from_its_headers() -> None:
    caller = Caller.of(
        Headers(
            {
                "x-afterturn-tenant": "user%3Aana%C3%B1",
                "x-afterturn-purpose": "summarise",
                "x-afterturn-can-wait": "2.5",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            }
        ),
        "request-1",
    )
    assert (caller.tenant, caller.purpose, caller.wait_seconds) == ("user:anañ", "summarise", 2.5)
    assert caller.request_id == "request-1"


@pytest.mark.parametrize("seconds", ["", "soon", "-1", "nan", "inf", "0"])
def test_what_makes_no_sense_was_not_sent(seconds: str) -> None:
    caller = Caller.of({"X-Afterturn-Can-Wait": seconds, "X-Afterturn-Purpose": "What did she say?"}, "")
    assert caller == Caller(tenant=NOBODY, purpose=NOBODY)


def test_a_tenant_is_bounded() -> None:
    assert len(Caller.of({"X-Afterturn-Tenant": "t" * 1000}, "").tenant) == 200
