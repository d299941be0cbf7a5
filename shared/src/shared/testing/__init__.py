"""Doubles and fixtures that pass the same suites as the real things."""
