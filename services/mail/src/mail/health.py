"""How a mailbox is, in a word for programs and a sentence for people: why a mail may be missing."""

from mail.outlook import GONE
from mail.refusals import Problem, consent_missing
from shared.connections import Obstacle, Obstructed, obstacle_of
from shared.connections.obstacles import PERMISSION_MISSING
from shared.graph.errors import GraphError
from shared.jobs import Again

NO_MAILBOX: Problem = {
    "code": "no_mailbox",
    "detail": "Your Microsoft account has no mailbox in Exchange Online: there is none, it was deleted, or it is on a "
    "server of your organisation. Ask your administrator for one.",
}
AWAY: Problem = {
    "code": "microsoft_unavailable",
    "detail": "Microsoft does not answer, or asks Prospo to wait. It is tried again by itself.",
}
_THEN = "your conversations then go on by themselves"


def said(obstacle: Obstacle) -> Problem:
    """The problem of a mailbox for an obstacle: what it is, and who mends it."""
    return {"code": obstacle.code, "detail": obstacle.sentence(_THEN)}


def explained(error: Obstructed | GraphError | Again) -> tuple[str, Problem]:
    """State and problem of a mailbox that cannot be read now."""
    if isinstance(error, GraphError) and error.code.lower() in GONE:
        return "no_mailbox", NO_MAILBOX
    if isinstance(error, Again) and not isinstance(error, Obstructed):
        return "waiting", AWAY
    found = obstacle_of(error)
    if found is not None:
        return "stopped", said(consent_missing(found) if found.code == PERMISSION_MISSING.code else found)
    assert isinstance(error, GraphError)  # noqa: S101 - an obstacle is known of the other
    return "stopped", {
        "code": "microsoft_refused",
        "detail": f"Microsoft refuses your mailbox. It says: {error.message}",
    }
