"""Everything of Entra that is reached outside Graph."""

from fastapi import APIRouter

from . import admin_consent, discovery, people, sign_in, tokens

router = APIRouter()
for part in (discovery, tokens, sign_in, admin_consent):
    router.include_router(part.router)

VERBS_OF = people
"""Imported for its verbs, which register themselves."""
