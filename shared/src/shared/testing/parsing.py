"""Python source is parsed by one thread at a time, and without a garbage collection within.

CPython before 3.11.8 counts the depth of a syntax tree in one place for all threads. A collection while it makes one
runs Python code, such as Hypothesis' callback, and lets another thread go on; if that one parses too (Hypothesis does,
and a traceback as it is written), either raises "AST constructor recursion depth mismatch" (python/cpython#106905).
"""

import ast
import gc
import sys
import threading
from typing import Any

_parse = ast.parse
_turn = threading.RLock()


def _parse_alone(*args: Any, **more: Any) -> Any:
    with _turn:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return _parse(*args, **more)
        finally:
            if collecting:
                gc.enable()


def mend() -> None:
    """For the whole process, where its CPython has the fault."""
    if sys.version_info < (3, 11, 8):
        ast.parse = _parse_alone
