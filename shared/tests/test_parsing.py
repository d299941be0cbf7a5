"""What Python 3.11.7 gets wrong, and our test processes do not."""

import ast
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

SOURCE = "\n".join(f"x{number} = [f(a, b={number}) for a in range({number})]" for number in range(200))


@pytest.fixture
def collections() -> Iterator[None]:
    """They come often, and each lets another thread go on, as one with a callback in Python may."""

    def yield_to_others(_phase: str, _about: dict[str, Any]) -> None:
        time.sleep(0)

    often = gc.get_threshold()
    gc.callbacks.append(yield_to_others)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*often)
    gc.callbacks.remove(yield_to_others)


def parse_below(frames: int) -> None:
    if frames:
        return parse_below(frames - 1)
    for _ in range(10):
        ast.parse(SOURCE)
    return None


@pytest.mark.usefixtures("collections")
def test_two_threads_parse_source_at_the_same_time() -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(parse_below, (0, 30)))
