"""How an event is sent: to the host whose certificate it shows, for so long, and reading so much."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.domain.errors import EndpointFailedError
from services.webhooks.sending import Connection, EndpointGoneError
from tests.support.webhook_events import SECRET
from tests.support.webhook_receiver import Answer, Told, WebhookReceiver


def certificate(folder: Path, name: x509.GeneralName) -> tuple[ssl.SSLContext, str]:
    """Make a certificate; give a server that shows it, and the file of whoever trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    whose = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder(whose, whose, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, str(folder / "cert.pem")


def _always(answer: Answer, _: Told) -> Answer:
    return answer


async def post(url: str, *, seconds: float = 20.0, allow_private: bool = True) -> None:
    async with Connection.open(url, seconds=seconds, allow_private=allow_private) as connection:
        await connection.post(uuid4(), b"{}", secret=SECRET)


@pytest.mark.parametrize(
    ("name", "host", "failure"),
    [
        (x509.DNSName("localhost"), "localhost", None),
        (x509.DNSName("example.org"), "localhost", "ConnectError"),
        # The address that is asked is not what counts.
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), "localhost", "ConnectError"),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), "127.0.0.1", None),
    ],
)
async def test_the_certificate_must_be_the_named_hosts(
    name: x509.GeneralName, host: str, failure: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", trusted)
    async with WebhookReceiver(tls) as receiver:
        url = f"https://{host}:{receiver.port}/hooks"
        if failure is None:
            await post(url)
            assert [one.headers["host"] for one in receiver.asked] == [f"{host}:{receiver.port}"]
            return
        with pytest.raises(EndpointFailedError, match=failure):
            await post(url)
        assert receiver.asked == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path, x509.DNSName("localhost"))
    async with WebhookReceiver(tls) as receiver:
        with pytest.raises(EndpointFailedError, match="ConnectError"):
            await post(f"https://localhost:{receiver.port}/hooks")


async def test_an_answer_without_end_is_not_read() -> None:
    async with WebhookReceiver() as receiver:
        receiver.answer = lambda _: Answer(endless=True)
        await post(receiver.url)
        assert len(receiver.taken) == 1


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WebhookReceiver() as receiver, WebhookReceiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await post(receiver.url)
        assert (len(receiver.taken), len(proxy.asked)) == (1, 0)


async def test_what_goes_wrong_is_told_without_the_url() -> None:
    async with WebhookReceiver() as receiver:
        url = receiver.url
        for answer, told, seconds in (
            (Answer(503, {"Retry-After": "999999999"}), "status 503", 20.0),
            (Answer(301, {"Location": url}), "status 301", 20.0),
            (Answer(200, seconds=60), "no answer within 0.5 s", 0.5),
        ):
            receiver.answer = partial(_always, answer)
            with pytest.raises(EndpointFailedError) as failure:
                await post(url, seconds=seconds)
            assert str(failure.value) == told
            assert (failure.value.retry_after or 0) <= 86_400
        receiver.answer = lambda _: Answer(410)
        with pytest.raises(EndpointGoneError):
            await post(url)
        with pytest.raises(EndpointFailedError, match="not allowed"):
            await post(url, allow_private=False)
    with pytest.raises(EndpointFailedError, match=r"cannot be reached \(ConnectError\)"):
        await post(url)
    with pytest.raises(EndpointFailedError, match="host is not known"):
        await post("https://no-such-host.invalid/", allow_private=False)
