"""Which parts of the product are there, and which of them the organisation has switched off."""

from fastapi import Request

from console.backend import Json, Refused
from console.person import person_of
from shared.connections.features import available
from shared.problems import request_id_of

CONTACTS, MAIL = "contacts_import", "outlook_email"


def contacts_are_there() -> bool:
    return available(CONTACTS)


def mail_is_there() -> bool:
    return available(MAIL)


async def require_contacts(request: Request) -> None:
    """A dependency of every page of contacts: 404 while the feature is still to come, 401 for nobody."""
    _require(request, contacts_are_there(), "contacts")


async def require_mail(request: Request) -> None:
    """The same for pages of mail."""
    _require(request, mail_is_there(), "mail")


def _require(request: Request, there: bool, name: str) -> None:
    about = {"request_id": request_id_of(request)}
    if not there:
        detail = f"Prospo does not have {name} yet. There is nothing for you to do."
        raise Refused(404, about | {"title": "Not available yet", "code": "feature_not_available", "detail": detail})
    if person_of(request) is None:
        raise Refused(401, about | {"code": "not_signed_in", "detail": "Sign in to Prospo, then open this page again."})


def is_off(connection: Json | None, feature: str) -> bool:
    """Whether the Org Admin has switched it off, as user-auth says; not when that is not known."""
    features = (connection or {}).get("features", [])
    return any(one["name"] == feature and one["available"] and not one["on"] for one in features)
