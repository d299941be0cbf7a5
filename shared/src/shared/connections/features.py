"""Which of the Org Admin's switches have something behind them."""

NOT_YET = frozenset({"outlook_email"})
"""Said to be not available yet wherever they are shown; they cannot be switched on, and nobody is asked to permit
anything for them. A switch leaves this set in the change that brings its feature."""


def available(feature: str) -> bool:
    return feature not in NOT_YET
