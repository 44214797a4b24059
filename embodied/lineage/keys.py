"""Keys and certificates to sign with: elliptic curves (P-384), made and kept on this machine."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embodied.errors import LineageError
from embodied.extras import advice

PUBLIC, CERTIFICATE = ".pub", ".crt"


@dataclass(frozen=True)
class SigningKey:
    """What somebody signs with.

    Attributes:
        private: file of the private key (PEM); password: that it is encrypted with.
        certificate: file of one for this key, where trust is in whoever issued it; issuers: files of those between.
    """

    private: Path
    password: str | None = None
    certificate: Path | None = None
    issuers: tuple[Path, ...] = ()


def make_key(path: Path, password: str | None = None) -> SigningKey:
    """Makes a key: the private one in `path`, for nobody else to read, and the public one beside it (`.pub`).

    Raises:
        LineageError: one is there already, or it cannot be written.
    """
    with advice():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP384R1())
    encryption: Any = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    kind = serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(serialization.Encoding.PEM, kind, encryption), mode=0o600)
    _write(path.with_name(path.name + PUBLIC), _pem(key.public_key()))
    return SigningKey(path, password)


def make_certificate(
    key: SigningKey, name: str, days: float, issuer: SigningKey | None = None, begins: dt.datetime | None = None
) -> SigningKey:
    """Certifies a key: by an issuer, to sign policies with; by itself, to issue certificates with (an authority).

    Args:
        name: whose it is; days: for which it is valid, from `begins` or now on.

    Raises:
        LineageError: a certificate is there already, or a file cannot be read or written.
    """
    with advice():
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import NameOID
    private, since = _private(key), begins or dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by = subject if issuer is None else _certificate(issuer.certificate).subject
    builder = x509.CertificateBuilder(by, subject, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(since).not_valid_after(since + dt.timedelta(days=days))
    authority = issuer is None
    usage = {f"{what}_{kind}": False for what, kind in (("content", "commitment"), ("key", "encipherment"))}
    usage |= {"data_encipherment": False, "key_agreement": False, "encipher_only": False, "decipher_only": False}
    allowed = x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    builder = builder.add_extension(allowed, critical=True)
    signed = builder.sign(private if issuer is None else _private(issuer), hashes.SHA384())
    path = key.private.with_name(key.private.name + CERTIFICATE)
    _write(path, signed.public_bytes(serialization.Encoding.PEM))
    return SigningKey(key.private, key.password, path)


def fingerprint(public: Path) -> str:
    """The SHA-256 by which a public key (PEM) is known.

    Raises:
        LineageError: it is none.
    """
    with advice():
        from cryptography.hazmat.primitives import serialization
    try:
        return fingerprint_of(serialization.load_pem_public_key(public.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise LineageError("damaged", f"{public} is no public key: {error}") from None


def fingerprint_of(public: Any) -> str:
    """The same, of a key that was read."""
    return hashlib.sha256(_pem(public)).hexdigest()


def certificates(path: Path) -> list[Any]:
    """The certificates in a file (X.509, PEM).

    Raises:
        LineageError: there is none.
    """
    with advice():
        from cryptography import x509
    try:
        return list(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise LineageError("damaged", f"{path} holds no certificate: {error}") from None


def _private(key: SigningKey) -> Any:
    with advice():
        from cryptography.hazmat.primitives import serialization
    password = key.password.encode() if key.password else None
    try:
        return serialization.load_pem_private_key(key.private.read_bytes(), password)
    except (OSError, ValueError, TypeError) as error:
        raise LineageError("damaged", f"{key.private} cannot be signed with: {error}") from None


def _certificate(path: Path | None) -> Any:
    if path is None:
        raise LineageError("missing", "whoever issues a certificate needs one: make an authority first")
    return certificates(path)[0]


def _pem(public: Any) -> bytes:
    with advice():
        from cryptography.hazmat.primitives import serialization
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(public.public_bytes(serialization.Encoding.PEM, kind))


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes a file that was not there; never over another."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except FileExistsError:
        raise LineageError("unwritable", f"{path} is there already: keys are never overwritten") from None
    except OSError as error:
        raise LineageError("unwritable", f"{path} cannot be written: {error.strerror or error}") from None
