"""TLS towards callers: one certificate, read again when its files change, without a connection being dropped.

Connections keep what they were begun with; new ones get the new certificate. Files that cannot be used (half written,
a key that is another's, expired) change nothing: the old certificate goes on serving, and the problem is told.
"""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path

from cryptography import x509

from ironworks.products.tokenfactory.gateway.health import Trouble
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks at the files."""


class ServingCertificate:
    """The certificate that callers see.

    Attributes:
        context: for the listening sockets. expires_at: of what is served, seconds since the epoch.
        problem: why the files as they are now are not served; None while they are.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OSError (ssl.SSLError among them) or ValueError where the files cannot be used."""
        self._certificate = certificate
        self._key = key
        self._looked_at = 0.0
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self.context = _new_context()
        self.expires_at = 0.0
        self.problem: str | None = None
        self._load()

    def look(self, now: float, *, anyway: bool = False) -> None:
        """Read the files again if they changed, at most every few seconds; `anyway` at once. `now` is monotonic."""
        if not anyway and now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        try:
            if anyway or self._state() != self._seen:
                self._load()
                log.info("serving a new certificate", expires_at=int(self.expires_at))
            self.problem = None if self.expires_at > time.time() else "the certificate has expired"
        except (OSError, ValueError) as problem:
            told = f"{type(problem).__name__}: {problem}"
            if told != self.problem:
                log.error("the new certificate cannot be used; the old one goes on serving", problem=told)
            self.problem = told

    def check(self) -> list[Trouble]:
        """For `Health.checks`."""
        if self.problem is None:
            return []
        message = f"{self.problem}; put a certificate and its key into {self._certificate} and {self._key}"
        return [Trouble("certificate", "degraded", "CertificateUnusable", message, "the old certificate is served")]

    def gauges(self) -> dict[str, tuple[str, float]]:
        """For `Metrics.gauges`."""
        left = self.expires_at - time.time()
        return {"tls_certificate_expiry_seconds": ("Until the certificate that callers see expires", left)}

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when the files do; links are followed, as mounted secrets need it."""
        facts = [os.stat(path) for path in (self._certificate, self._key)]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in facts)

    def _load(self) -> None:
        """Try both files, as they are at one moment, on a context of their own; then serve by them."""
        state = self._state()
        certificate, key = self._certificate.read_bytes(), self._key.read_bytes()
        expires_at = x509.load_pem_x509_certificates(certificate)[0].not_valid_after_utc.timestamp()
        if expires_at <= time.time():
            raise ValueError("the certificate has expired")
        pair = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with open(pair, "wb", closefd=False) as file:
                file.write(certificate + b"\n" + key)
            path = f"/proc/self/fd/{pair}"
            _new_context().load_cert_chain(path, password=_no_password)
            self.context.load_cert_chain(path, password=_no_password)
        finally:
            os.close(pair)
        self._seen = state
        self.expires_at = expires_at


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """Else OpenSSL would ask for one on the terminal."""
    raise ValueError("the key is encrypted; give one that is not")
