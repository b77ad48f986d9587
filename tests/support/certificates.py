"""An authority of our own, and what it vouches for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    path: Path
    key_path: Path


class Authority:
    """Its own certificate is `root`; whoever has that believes what it `issue`s."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        draft = self._draft(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.root = self._written(name, draft.sign(self._key, hashes.SHA256()), self._key).path

    def issue(self, name: str) -> Certificate:
        """Vouch for a server on this machine, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        places = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        draft = self._draft(_named(name), key).add_extension(places, critical=False)
        return self._written(name, draft.sign(self._key, hashes.SHA256()), key)

    def _draft(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )

    def _written(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
        written = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        written.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        written.key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        # libpq refuses a key that others may read.
        written.key_path.chmod(0o600)
        return written


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
