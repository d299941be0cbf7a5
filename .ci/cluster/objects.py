# ruff: noqa: INP001 - a program of the cluster stage, not a package
"""Secrets, certificates and the gateway's configuration for the chart's test, as objects on standard output.

usage: objects.py <folder to make keys in> <namespace of the engines> <namespace of the release>
"""

import base64
import datetime
import secrets
import sys
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dev.embedded.keys import make_key_ring, make_service_keys
from dev.envoy import Addresses, written
from dev.services import ROOT, SERVICES

Json = dict[str, Any]
FILES = ["deploy/compose/databases.sh", "services.toml", ".ci/cluster/only-tls.sh"]


def secret(namespace: str, name: str, data: dict[str, bytes]) -> Json:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": encoded}


def config_map(namespace: str, name: str, data: dict[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certified(hosts: list[str]) -> tuple[bytes, bytes, bytes]:
    """An authority, and a certificate and key of it for the hosts; all PEM."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engines of the test")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        made = made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        return made.not_valid_after(now + datetime.timedelta(days=30))

    ca = builder(ca_name, ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = ca.add_extension(usage, critical=True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    signed = builder(subject, key.public_key()).add_extension(names, critical=False).sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ca.sign(ca_key, hashes.SHA256()).public_bytes(pem), signed.public_bytes(pem), private


def objects(folder: Path, engines: str, release: str) -> list[Json]:
    ca, certificate, key = certified([f"postgres.{engines}", f"kafka.{engines}"])
    passwords = {name: secrets.token_hex(12) for name in SERVICES}
    users = " ".join(f'user_{name}="{password}"' for name, password in passwords.items())
    jaas = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
    private, public = make_service_keys(folder / "keys", SERVICES)
    issuer = f"http://simulator.{engines}:8367/prospo-issuer"
    gateway = Addresses(upstream="prospo-{service}." + release + ":{port}", issuer=issuer, jwks=f"{issuer}/jwks")
    return [
        secret(engines, "engines", {"tls.crt": certificate, "tls.key": key, "broker.pem": key + certificate}),
        secret(engines, "kafka", {"jaas": jaas.encode()}),
        config_map(engines, "files", {Path(name).name: (ROOT / name).read_text() for name in FILES}),
        config_map(engines, "gateway", {"envoy.yaml": written(gateway)}),
        secret(release, "engines-ca", {"ca.crt": ca}),
        secret(release, "public-keys", read(public)),
        secret(release, "microsoft", {"development.secret": b"development-only-secret"}),
        *(one for name in SERVICES for one in of_service(folder, release, engines, name, passwords[name], private)),
    ]


def of_service(folder: Path, release: str, engines: str, name: str, password: str, private: Path) -> list[Json]:
    role = name.replace("-", "_")
    at = f"development@postgres.{engines}:5432/{role}"
    return [
        secret(
            release,
            f"{name}-database",
            {"uri": f"postgresql://{role}:{at}".encode(), "owner-uri": f"postgresql://{role}_owner:{at}".encode()},
        ),
        secret(release, f"{name}-key-ring", read(make_key_ring(folder / "rings" / name))),
        secret(release, f"{name}-key", {"service.pem": (private / f"{name}.pem").read_bytes()}),
        secret(release, f"{name}-kafka", {"password": password.encode()}),
    ]


if __name__ == "__main__":
    yaml.safe_dump_all(objects(Path(sys.argv[1]), sys.argv[2], sys.argv[3]), sys.stdout)
