"""Entra: sign-in, consent, tokens."""
