"""Who certifies the databases of one embedded cloud."""

import ipaddress
import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "Tidegate embedded databases"
DAYS = 825
"""The longest that clients of Apple's take a server's certificate for."""
TRUSTED = "trusted.pem"


class Authority:
    """A new one with one certificate for every server: they are all at the same `hosts`, names or addresses.

    In `folder`: `authority.pem` for clients, `server.pem` and `server.key` for servers, and `trusted.pem`, in which the
    authority stands beside those that this machine trusts.
    """

    def __init__(self, folder: Path, hosts: Sequence[str]) -> None:
        own = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        authority = (
            _begun(issuer, issuer, own.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(own, hashes.SHA256())
        )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        identity = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())
        certificate = (
            _begun(subject, issuer, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
            .add_extension(identity, critical=False)
            .sign(own, hashes.SHA256())
        )
        self.pem = _pem(authority)
        """The authority's certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = folder / "server.pem", folder / "server.key"
        self.file = folder / "authority.pem"
        self.file.write_text(self.pem)
        self.certificate.write_text(_pem(certificate))
        with os.fdopen(os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        self.trusted = folder / TRUSTED
        self.trusted.write_text(_trusted_here() + self.pem)

    def context(self) -> ssl.SSLContext:
        """For a server."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.certificate, self.key)
        return made


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _trusted_here() -> str:
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_text().rstrip() + "\n" if file else ""
