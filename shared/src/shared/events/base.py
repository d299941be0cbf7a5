"""What every integration event shares."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """A past-tense fact about one aggregate of one organisation.

    ``topic`` is the Kafka topic and the last part of the CloudEvents type; ``emitter`` the one service that adds it to
    its outbox. Unknown fields are ignored, so a consumer with an older model reads newer events.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    topic: ClassVar[str] = ""
    emitter: ClassVar[str] = ""

    org_id: str
    aggregate_version: int = 1
    """Counts the changes of this aggregate; across topics of one emitter the higher one is the newer state."""

    @property
    def key(self) -> str:
        """The Kafka key: the aggregate's id. Order is promised per key within a topic."""
        return self.org_id
