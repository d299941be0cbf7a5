"""An operator's command, ``python -m <package> …``, without the second that a process of its own needs to import."""

import asyncio
import contextlib
import io
import logging
import runpy
import sys
from collections.abc import Iterator

import pytest
import structlog


async def command(environment: dict[str, str], package: str, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    return await asyncio.to_thread(_run, environment, package, words)


def _run(environment: dict[str, str], package: str, words: tuple[str, ...]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with _own_logs(), pytest.MonkeyPatch.context() as process:
        for name, value in environment.items():
            process.setenv(name, value)
        process.setattr(sys, "argv", [package, *words])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            runpy.run_module(package, run_name="__main__")
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@contextlib.contextmanager
def _own_logs() -> Iterator[None]:
    """A command sets up the logs of its process."""
    root, known = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.configure(**known)
