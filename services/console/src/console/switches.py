"""Which of the organisation's switches a page goes by."""

from fastapi import Request

from console.backend import Json, Refused
from console.person import person_of
from shared.problems import request_id_of

CONTACTS, MAIL = "contacts_import", "outlook_email"


async def require_person(request: Request) -> None:
    """A dependency of every page of contacts and mail: 401 for nobody."""
    if person_of(request) is None:
        about = {"request_id": request_id_of(request), "code": "not_signed_in"}
        raise Refused(401, about | {"detail": "Sign in to Prospo, then open this page again."})


def is_off(connection: Json | None, feature: str) -> bool:
    """Whether the Org Admin has switched it off, as user-auth says; not when that is not known."""
    features = (connection or {}).get("features", [])
    return any(one["name"] == feature and not one["on"] for one in features)
