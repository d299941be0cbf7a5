"""Graph's refusals by what the caller does next."""


class GraphError(Exception):
    """A refusal; ``status`` is 0 when there was no answer, ``request_id`` is what Microsoft's support asks for.

    ``inner_code`` is ``innerError.code``, where Graph says more precisely what is refused (transcript access).
    """

    inner_code: str = ""

    def __init__(self, message: str, status: int = 0, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id


class GraphRetry(GraphError):
    """Try again after ``after_s`` seconds. With ``maybe_done`` Graph may have acted: look before writing again."""

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
        self.after_s = after_s
        self.maybe_done = maybe_done


class GraphReconnect(GraphError):
    """The user must connect the account again."""


class GraphTellAdmin(GraphError):
    """Only an administrator of the customer's tenant can mend this."""


class GraphGiveUp(GraphError):
    """Trying again changes nothing."""


class GraphNotFound(GraphGiveUp):
    """It is not there, or not for this account."""


class GraphDeltaGone(GraphNotFound):
    """Graph forgot the state of a delta link: list everything again, from ``location`` when Graph gives one."""

    location: str | None = None


class GraphPastEnd(GraphGiveUp):
    """A download asked for bytes from the end on (416); ``total`` is the whole size when Graph says it."""

    total: int | None = None
