"""How long Kafka keeps what a topic holds. A topic that exists already is left as its operator has it."""

_DAY_MS = 24 * 3600 * 1000

FACTS: dict[str, str | int] = {"cleanup.policy": "delete", "retention.ms": 7 * _DAY_MS}
"""Events: what happened, for those who read along. Less than ``INBOX_KEEP_S``, so a second delivery is known."""
STATES: dict[str, str | int] = {
    "cleanup.policy": "compact",
    "max.compaction.lag.ms": _DAY_MS,
    "delete.retention.ms": 14 * _DAY_MS,
}
"""The newest record of every key for ever. An older one is gone within a day, more or less; a tombstone is there for
two weeks, so that a consumer that was away so long still learns that the aggregate was erased."""
DEAD_LETTERS: dict[str, str | int] = {"cleanup.policy": "delete", "retention.ms": 14 * _DAY_MS}
"""The topic of records that a service could not handle."""


def settings_of(topic: str) -> dict[str, str | int]:
    """Kafka's settings of a topic of ours."""
    if topic.startswith("dlq."):
        return DEAD_LETTERS
    return STATES if topic.endswith(".state") else FACTS
