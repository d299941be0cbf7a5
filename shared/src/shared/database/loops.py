"""Helpers of the engines' endless loops."""

import asyncio


def stop_if_cancelled() -> None:
    """Raise ``CancelledError`` when the task was cancelled but an error on the way out has taken its place.

    A loop that waits out every outage calls this after each: else an outage at the stop would keep it running.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
