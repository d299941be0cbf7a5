"""Development keys, made at the first run and kept in the state folder."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.secrets import KeyRing


def make_key_ring(folder: Path) -> Path:
    """The key ring's folder, created with one key when there is none."""
    if not (folder / "current").exists():
        folder.mkdir(parents=True, exist_ok=True)
        KeyRing.create(folder)
    return folder


def make_service_keys(folder: Path, services: list[str]) -> tuple[Path, Path]:
    """Folders of private and public Ed25519 keys, one PEM file per service."""
    private, public = folder / "private", folder / "public"
    for part in (private, public):
        part.mkdir(parents=True, exist_ok=True)
    for name in services:
        if not (public / f"{name}.pem").exists():
            _make_pair(private / f"{name}.pem", public / f"{name}.pem")
    return private, public


def _make_pair(private: Path, public: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
