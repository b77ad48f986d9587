import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.domain.errors import InvalidInputError
from services.domain.webhooks import address_of, is_public, make_secret, sign

PRIVATE = (
    "0.0.0.0",  # noqa: S104
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
    "2002:7f00:1::1", "2002:a00:1::", "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "not an address", "", "2130706433", "0x7f.1",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "2002:808:808::1")


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_a_network_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "//example.org/", "example.org", "", "https://", "https:///path",
        "https://user:secret@example.org/", "https://user@example.org/", "https://example.org/#part",
        "https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://printer.local/",
        "https://db.internal/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]:444/",
        "https://10.1.2.3/", "https://169.254.169.254/latest", "https://example.org:port/", "https://example.org:70000/",
        "https://exa mple.org/", "https://example.org/\nx", "https://exämple.org/", "https://example.org\\@10.0.0.1/",
        "https://example.org/" + "x" * 2_000, "https://[::1",
    ],
)  # fmt: skip
def test_no_webhook_may_have_such_a_url(url: str) -> None:
    with pytest.raises(InvalidInputError):
        address_of(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "https://10.0.0.1/", "http://chat.internal/", "http://[::1]:9/"]
)
def test_inside_the_network_where_that_is_allowed(url: str) -> None:
    assert address_of(url, allow_private=True).scheme == url.partition(":")[0]


@pytest.mark.parametrize("url", ["http://user@127.0.0.1/", "file:///etc/passwd", "http://127.0.0.1/#x"])
def test_some_are_never_allowed(url: str) -> None:
    with pytest.raises(InvalidInputError):
        address_of(url, allow_private=True)


def test_a_url_is_taken_apart() -> None:
    found = address_of("https://Example.org:8443/hooks/a%20b?token=x&y=1")
    assert (found.host, found.port, found.target) == ("example.org", 8443, "/hooks/a%20b?token=x&y=1")
    assert (found.authority, address_of("https://example.org").port) == ("Example.org:8443", 443)
    assert address_of("https://example.org").target == "/"


def test_an_address_that_only_looks_like_one_is_looked_up_and_checked_then() -> None:
    """`2130706433` is 127.0.0.1 to some resolvers: what it is found to be is checked again when it is sent to."""
    assert address_of("https://2130706433/").host == "2130706433"


def test_the_signature_is_the_specifications() -> None:
    """The example that the reference implementations are tested with."""
    made = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def receivers_check() -> Callable[[str, dict[str, str], bytes], bool]:
    """Take the receiver out of docs/webhooks.md."""
    [code] = re.findall(
        r"```python\n(.*?)```", (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(), re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  it is ours
    check: Callable[[str, dict[str, str], bytes], bool] = names["is_ours"]
    return check


def test_the_documented_receiver_takes_what_is_ours_and_nothing_else() -> None:
    is_ours, secret, body, now = receivers_check(), make_secret(), b'{"id":"x"}', int(time.time())

    def headers(made: str, timestamp: int = now) -> dict[str, str]:
        return {"webhook-id": "x", "webhook-timestamp": str(timestamp), "webhook-signature": made}

    made = sign(secret, id="x", timestamp=now, body=body)
    assert is_ours(secret, headers(made), body)
    assert is_ours(secret, headers(f"v1a,x {made}"), body)
    assert not is_ours(secret, headers(made), body + b" ")
    assert not is_ours(make_secret(), headers(made), body)
    assert not is_ours(secret, headers(made, now - 1), body)
    assert not is_ours(secret, headers(made) | {"webhook-id": "y"}, body)
    old = now - 3_600
    assert not is_ours(secret, headers(sign(secret, id="x", timestamp=old, body=body), old), body)


def test_secrets_differ_and_are_long() -> None:
    first, second = make_secret(), make_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(first) == len("whsec_") + 44
