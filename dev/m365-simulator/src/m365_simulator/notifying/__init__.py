"""Subscriptions and the notifications sent to them."""
