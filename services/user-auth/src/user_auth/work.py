"""The jobs of user-auth; ``jobs.py`` does them."""

from shared.jobs import Work


class KeepAlive(Work):
    """Look after a person's connection each day, so that Microsoft does not end it for want of use."""

    kind = "keep_alive"
    keyed_by = ("user_id",)
    user_id: str


class EndLeaving(Work):
    """The time is over for what is removed at Microsoft after the connection ended in ``version``."""

    kind = "end_leaving"
    keyed_by = ("user_id", "version")
    user_id: str
    version: int
