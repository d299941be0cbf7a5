"""Mailboxes: calendars, contacts, mail."""
