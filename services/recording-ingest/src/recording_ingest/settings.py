"""Every knob of the recording-ingest service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    reconcile_after_s: tuple[float, ...] = (120, 300, 900, 3600, 21_600, 86_400)
    """How long after a meeting's end Microsoft is asked for artefacts that no notification told of, each time."""
    reconcile_interval_s: float = 900
    """How often it is asked again while an import that was begun does not succeed."""
    reconcile_early_interval_s: float = 21_600
    """The same before the booked end: people may meet early, the join link works as soon as it exists."""
    artefact_deadline_s: float = 86_400
    """How long after the end a recording or transcript is waited for before it is declared absent."""
    import_pause_limit_s: float = 30 * 86_400
    """How long an import may be held back by the switch or a connection before it is given up; it then begins anew."""
    rechecks_per_hour: int = 30
    """How often an hour a person may have Prospo look again for what is missing of meetings."""
    notification_patience_s: float = 300
    """How long a notification of an unknown meeting, or of an artefact not readable yet, is tried again."""
    notification_retry_s: float = 5
    """The pause between these tries."""
    subscription_check_interval_s: float = 3600
    """How often Graph is asked whether it still has a person's subscriptions."""
    transcript_limit_bytes: int = 32 * 1024 * 1024
    """A transcript larger than this is not imported."""
    transcript_parse_s: float = 30
    """A transcript that takes more of a processor to parse than this is not imported."""
    transcript_lines_max: int = 500_000
    """A transcript of more lines is not imported: a meeting of 30 hours has less than a tenth of it."""
    storage_timeout_s: float = 300
    """How long storage may take for one range; the last one makes it put the whole file together."""
