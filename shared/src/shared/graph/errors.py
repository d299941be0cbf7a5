"""Graph's refusals by what the caller does next; a job that lets one pass ends as ``shared.jobs.again`` says.

::

    GraphError
    ├─ GraphRetry            try again after ``after_s``; with ``maybe_done`` look before writing again
    ├─ GraphReconnect        the person connects the account again
    ├─ GraphTellAdmin        an administrator of the customer's tenant allows, licenses or pays for it
    │  └─ GraphFull          … or frees storage
    └─ GraphGiveUp           repeating it changes nothing
       ├─ GraphNotFound      it is not there, or not for this account
       │  └─ GraphDeltaGone  list everything again
       ├─ GraphConflict      read what is there, then decide: adopt it, rename, replace
       │  └─ GraphChanged    it changed since it was read
       ├─ GraphTooLarge      send less at a time
       ├─ GraphPastEnd       read or write another range
       └─ GraphSessionGone   begin a new upload session
"""

from shared.jobs.again import Again, GiveUp


class GraphError(Exception):
    """A refusal; ``status`` is 0 when there was no answer, ``request_id`` is what Microsoft's support asks for.

    ``inner_code`` is ``innerError.code``, where Graph says more precisely what is refused (transcript access).
    """

    inner_code: str = ""
    maybe_done: bool = False
    """Graph may have acted all the same: look before writing again."""

    def __init__(self, message: str, status: int = 0, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id


class GraphRetry(GraphError, Again):
    """Try again after ``after_s`` seconds, a job for as long as it is patient."""

    def __init__(
        self,
        message: str,
        status: int = 0,
        code: str = "",
        request_id: str = "",
        *,
        after_s: float = 30.0,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(message, status, code, request_id)
        self.after_s: float = after_s
        self.counts = False
        self.maybe_done = maybe_done


class GraphReconnect(GraphError):
    """The user must connect the account again."""


class GraphTellAdmin(GraphError):
    """Only an administrator of the customer's tenant can mend this."""


class GraphFull(GraphTellAdmin):
    """The site, drive or mailbox has no room left (507)."""


class GraphGiveUp(GraphError, GiveUp):
    """Trying again changes nothing."""


class GraphNotFound(GraphGiveUp):
    """The resource does not exist, or not for this account."""


class GraphDeltaGone(GraphNotFound):
    """Graph forgot the state of a delta link: list everything again, from ``location`` when Graph gives one."""

    location: str | None = None


class GraphConflict(GraphGiveUp):
    """Something stands in the way (409), such as an item of that name; ``code`` says what."""


class GraphChanged(GraphConflict):
    """The resource changed since its ``etag`` was read (412). Nothing was written."""


class GraphTooLarge(GraphGiveUp):
    """More than Graph takes at once (413)."""


class GraphPastEnd(GraphGiveUp):
    """A range that cannot be (416); ``total`` is the whole size when Graph says it."""

    total: int | None = None


class GraphSessionGone(GraphGiveUp):
    """An upload session expired, was cancelled, or never was: what it had received is lost.

    With ``maybe_done`` its last range was sent and the answer lost: look for the file before beginning anew.
    """
