"""Credentials of the application at Microsoft Entra. Several may be live, so that one can replace another.

``client_credentials_dir`` is a folder, such as a mounted Kubernetes secret, that is read anew at every use:

``*.pem``     private key and certificate together; Entra knows the certificate. Expiry is read from it.
``*.secret``  the secret on the first line; ``expires 2027-01-31`` on a line of its own, if it is to be watched.
``*.jwt``     a federated token of the cluster (workload identity), kept fresh by whoever mounts it.

Certificates come first, the one that lasts longest before the others, then federated tokens, then secrets; the single
secret of the settings comes last. To rotate, add the new one at Entra and here, wait until it is used, remove the old.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared import metrics
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings

log = structlog.get_logger(__name__)

WARN_DAYS = 30
_warned: dict[str, tuple[datetime, int]] = {}
"""Credential → its expiry and the days left when we last warned of it, once a day: it is read at every use."""
_unreadable: dict[str, str] = {}
"""Credential → why it could not be read when we last logged it."""


@dataclass(frozen=True, slots=True)
class Credential:
    """``name`` is the file's, for logs and metrics; ``proof`` is what MSAL takes; ``expires_at`` if it is known."""

    name: str
    proof: Any = field(repr=False)
    expires_at: datetime | None = None

    def left_s(self) -> float | None:
        return (self.expires_at - datetime.now(UTC)).total_seconds() if self.expires_at else None


def credentials(settings: ServiceSettings) -> list[Credential]:
    """All that are live, in the order they are tried. Raises ``ConfigurationError`` when none can be read."""
    found = _of_folder(settings.client_credentials_dir) if settings.client_credentials_dir else []
    single = settings.client_secret.get_secret_value()
    if single:
        found.append(Credential("settings", single))
    if not found:
        raise ConfigurationError(
            "Set PROSPO_CLIENT_CREDENTIALS_DIR or PROSPO_CLIENT_SECRET: no credential can be read."
        )
    return [credential for credential in found if _told(credential)] or found


def _told(credential: Credential) -> bool:
    """Whether it has time left; what is left is said in a metric, and in the log when it is little."""
    left_s = credential.left_s()
    if left_s is None:
        return True
    metrics.client_credential_left.set(left_s, {"credential": credential.name})
    if left_s < WARN_DAYS * 86_400:
        _warn_once_a_day(credential, int(left_s // 86_400))
    return left_s > 0


def _warn_once_a_day(credential: Credential, days: int) -> None:
    assert credential.expires_at is not None  # noqa: S101 - asked by the caller
    if _warned.get(credential.name) != (credential.expires_at, days):
        _warned[credential.name] = (credential.expires_at, days)
        log.warning("credential.expires_soon", credential=credential.name, days=days)


def _of_folder(folder: Path) -> list[Credential]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise ConfigurationError(f"The credentials in {folder} cannot be read: {error}.") from error
    certificates = _readable(files, ".pem", _certificate)
    certificates.sort(key=lambda one: one.left_s() or 0, reverse=True)
    return [*certificates, *_readable(files, ".jwt", _federated), *_readable(files, ".secret", _secret)]


def _readable(files: Iterable[Path], suffix: str, read: Callable[[Path], Credential]) -> list[Credential]:
    """A credential that cannot be read, such as a file that is just being copied, is left out; the others are used."""
    found = []
    for path in files:
        if path.suffix == suffix:
            try:
                found.append(read(path))
                _unreadable.pop(path.name, None)
            except (OSError, ValueError, TypeError, IndexError, UnsupportedAlgorithm) as error:
                _tell_once(path.name, str(error))
    return found


def _tell_once(name: str, reason: str) -> None:
    if _unreadable.get(name) != reason:
        _unreadable[name] = reason
        log.error("credential.unreadable", credential=name, reason=reason)


def _certificate(path: Path) -> Credential:
    pem = path.read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    load_pem_private_key(pem, None)
    text = pem.decode()
    return Credential(path.name, {"private_key": text, "public_certificate": text}, certificate.not_valid_after_utc)


def _federated(path: Path) -> Credential:
    token = path.read_text().strip()
    if not token:
        raise ValueError("it is empty")
    return Credential(path.name, {"client_assertion": token})


def _secret(path: Path) -> Credential:
    secret, *more = path.read_text().strip().splitlines()
    words = [line.split() for line in more if line.startswith("expires ")]
    if not words:
        return Credential(path.name, secret)
    return Credential(path.name, secret, datetime.combine(date.fromisoformat(words[0][1]), time(), UTC))
