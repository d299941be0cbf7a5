"""Every knob of the storage service."""

from pathlib import Path

from shared.settings import PerHour, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    object_store_dir: Path = Path("files")
    """Folder of the local object store, used when ``object_store_url`` is unset."""
    object_store_url: str | None = None
    """``s3://…``, ``az://…`` or ``gs://…``; credentials come from the platform's own environment."""
    upload_chunk_max_bytes: int = 10 * 1024 * 1024
    """Largest range of one ``PUT``."""
    unfinished_uploads: int = 2000
    """How many uploads of an organisation may be unfinished at a time; a further one is refused with 429."""
    unfinished_upload_bytes: int = 20 * 1024**4
    """How many bytes those unfinished uploads may have together."""
    location_look_s: float = 86_400
    """How often the place in SharePoint that an organisation chose is looked at while it works."""
    location_retry_s: float = 600
    """How often it is looked at while it does not."""
    unfinished_upload_keep_s: float = 30 * 86_400
    """How long an upload that nobody goes on with is kept; who asks for it later begins anew."""
    person_file_max_bytes: int = 250 * 1024**3
    """Largest file that a person uploads; SharePoint takes no larger one."""
    organisation_quota_bytes: int = 1024**4
    """How many bytes of an organisation Prospo's own storage keeps; beyond it people upload nothing (507).

    Recordings count, and are stored all the same. Files in SharePoint do not count.
    """
    file_uploads_per_hour: PerHour = 3600
    """How many uploads a person may begin."""
    file_links_per_hour: PerHour = 600
    """How many links a person may make."""
