"""Logs of tests: structlog's own look, but for its pictures of exceptions, each of which takes half a second."""

import structlog


def plain_logs() -> None:
    """structlog's defaults, with exceptions as Python prints them."""
    structlog.reset_defaults()
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
