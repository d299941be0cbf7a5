"""Every knob of the console. The only reader of its environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.clouds import CLOUDS, CloudName


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PROSPO_")

    internal_url: str = "http://localhost:8366/{service}"
    """Where services answer inside the cluster; ``{service}`` is replaced by the service's name."""
    public_url: str = "http://localhost:8365"
    """The address people open; the Origin that forms must come from. With https, cookies are Secure and ``__Host-``."""
    cloud: CloudName = "global"
    """Which of Microsoft's clouds, as for every service."""
    entra_page_authority: str | None = None
    """Where Microsoft's sign-in and consent pages are, when it is not the cloud's."""
    simulator_url: str | None = None
    """Only in the embedded run: the simulated Microsoft, and with it the switch between people."""
    live_interval_s: int = 3
    """How often an open page looks for news while something is on its way."""
    call_timeout_s: float = 20
    """How long a service may take; scheduling itself waits up to 10 s for the join link."""
    sign_in_timeout_s: float = 55
    """The same where a service waits for Microsoft's sign-in: the ways back and disconnecting. Services give up after
    44 s (15 for its addresses, 15 for the token, 10 for its keys, 4 for the account), most gateways after 60."""
    body_limit_bytes: int = 2 * 1024 * 1024
    """A larger form is refused with 413. A contact's notes may have 65,536 letters, and its form holds them twice."""
    mail_form_limit_bytes: int = 32 * 1024 * 1024
    """The same for a mail that is written without JavaScript, whose files come with the form. Else they go to the
    service by themselves, as large as it takes them."""
    mail_form_s: float = 600
    """How long such a form may take to arrive."""
    log_level: str = "info"
    """Lowest level that is logged."""
    http_host: str = "0.0.0.0"  # noqa: S104 - in a container the pod's address is the boundary
    """Address to listen on."""
    http_port: int = 8080
    """Port to listen on."""
    ca_bundle: Path | None = None
    """Certificates to trust instead of the public ones, PEM."""

    @property
    def pages_at(self) -> str:
        """Where Microsoft's pages are; our forms may lead there and nowhere else."""
        return self.entra_page_authority or CLOUDS[self.cloud].login
