"""What reading and writing bytes raises, in the default store (``objects.py``) and in SharePoint (``drives.py``)."""

from collections.abc import AsyncGenerator, Callable

Source = Callable[[int], AsyncGenerator[bytes, None]]
"""Gives the bytes from a position on; a store that lost some asks again."""


class NotThere(Exception):
    """Nothing stands under this name."""


class Taken(Exception):
    """Something stands under this name already; nothing was written."""


class Changed(Exception):
    """What stands there is not what was meant."""
