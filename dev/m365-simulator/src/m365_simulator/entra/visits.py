"""One visit of a browser to Entra's pages: which application sent it, whether it may be sent back, and how."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from m365_simulator.core import Simulator
from m365_simulator.directory import PERSONAL, find_tenant, find_user, home_of, identity_in
from m365_simulator.faults import fault
from m365_simulator.steering import pages
from m365_simulator.store import Row

from .applications import Application, find_application
from .consents import is_revoked
from .errors import TokenError
from .tokens import ANY_TENANT, check_tenant

WAY_BACK = fault("way_back", "what a page sends back is changed: `set` {name: value} and `drop` [name]", "set", "drop")
COOKIE = "simulator_sign_in"
Fields = dict[str, str]


@dataclass(slots=True)
class Visit:
    """``segment`` is the tenant in the path: an id, a domain, or a word for any."""

    simulator: Simulator
    request: Request
    segment: str
    fields: Fields
    app: Application = field(init=False)

    def stopped(self, *, nested_paths: bool = False) -> HTMLResponse | None:
        """An error page, without a redirect: the request is not of a known application with its redirect URI."""
        try:
            check_tenant(self.simulator, self.segment)
            self.app = self._application()
            self._check_redirect(nested_paths)
        except TokenError as error:
            return self.failure(error)
        return None

    def failure(self, error: TokenError) -> HTMLResponse:
        return pages.failure(self.simulator, error.number, error.text)

    def _application(self) -> Application:
        client_id = self.fields.get("client_id")
        if not client_id:
            raise TokenError(900144, "The request body must contain the following parameter: 'client_id'.")
        found = find_application(self.simulator, client_id)
        tenant = find_tenant(self.simulator.store, self.segment)
        if found is None or not (found.multi_tenant or tenant is None or tenant["id"] == found.tenant):
            raise TokenError(700016, f"Application with identifier '{client_id}' was not found in the directory.")
        if not found.multi_tenant and tenant is None:
            raise TokenError(50194, f"Application '{client_id}' is not configured as a multi-tenant application.")
        return found

    def _check_redirect(self, nested_paths: bool) -> None:
        given = self.fields.get("redirect_uri", "")
        if given in self.app.redirect_uris:
            return
        if nested_paths and any(given.startswith(f"{uri.rstrip('/')}/") for uri in self.app.redirect_uris):
            return
        raise TokenError(50011, f"The redirect URI '{given}' specified in the request is not one of the application's.")

    def back(self, answer: Fields) -> Response:
        """To the application, in the response mode it asked for, with its state."""
        state = {"state": self.fields["state"]} if self.fields.get("state") else {}
        said = self._tampered({**answer, **state})
        uri, mode = self.fields["redirect_uri"], self.fields.get("response_mode") or "query"
        if mode == "form_post":
            return pages.form_post(self.simulator, uri, said)
        if mode == "fragment":
            return RedirectResponse(f"{uri}#{urlencode(said)}", 302)
        return RedirectResponse(f"{uri}{'&' if '?' in uri else '?'}{urlencode(said)}", 302)

    def _tampered(self, said: Fields) -> Fields:
        tenant = find_tenant(self.simulator.store, self.segment) or {"id": self.segment, "domain": ""}
        about = {"path": self.request.url.path, "method": self.request.method, "app": self.fields.get("client_id")}
        found = self.simulator.faults.due(WAY_BACK, tenant=f"{tenant['id']}\n{tenant['domain']}", **about)
        if found is None:
            return said
        changed = said | {str(name): str(value) for name, value in (found.get("set") or {}).items()}
        return {name: value for name, value in changed.items() if name not in (found.get("drop") or [])}

    def refused(self, error: TokenError, **more: str) -> Response:
        """An error of the redirect; ``more`` stands beside it."""
        return self.back({"error": error.error, "error_description": error.described, **more})

    def person(self, account: Row) -> Row:
        """Who the account is in the tenant of the visit. Raises ``TokenError`` when it is nobody there."""
        if self.segment in ANY_TENANT:
            personal = account["tenant"] == PERSONAL
            if personal != (self.segment == "consumers") and self.segment != "common":
                raise TokenError(50020, f"User account '{account['address']}' does not exist in the tenant.")
            return account
        tenant = find_tenant(self.simulator.store, self.segment) or {"id": ""}
        found = identity_in(self.simulator.store, account, tenant["id"])
        if found is None:
            text = f"User account '{account['address']}' does not exist in tenant '{self.segment}'."
            raise TokenError(50020, text)
        return found

    def account(self) -> Row:
        """The account that was picked. Raises ``TokenError``."""
        found = find_user(self.simulator.store, self.fields.get("account", ""))
        account = home_of(self.simulator.store, found) if found else None
        if account is None:
            raise TokenError(50034, f"The user account {self.fields.get('account')} does not exist.")
        return account

    def signed_in(self) -> list[Row]:
        """Accounts with a living session in this browser."""
        session = self.simulator.store.get("sessions", self.request.cookies.get(COOKIE, "")) or {"accounts": {}}
        rows = [(self.simulator.store.get("users", key), epoch) for key, epoch in session["accounts"].items()]
        return [row for row, epoch in rows if row and row.get("enabled", True) and not is_revoked(row, epoch)]

    def remember(self, answer: Response, account: Row) -> Response:
        """Keep the sign-in session in the browser."""
        store, key = self.simulator.store, self.request.cookies.get(COOKIE, "")
        session = store.get("sessions", key)
        if session is None:
            key, session = self.simulator.ids.text("session", 40), {"accounts": {}}
        accounts = {**session["accounts"], account["id"]: account.get("epoch", 0)}
        store.put("sessions", key, {"accounts": accounts})
        answer.set_cookie(COOKIE, key, httponly=True, samesite="lax")
        return answer


def visit_of(request: Request, tenant: str, fields: Fields) -> Visit:
    simulator: Simulator = request.scope["simulator"]
    return Visit(simulator, request, tenant, fields)


async def form_of(request: Request) -> Fields:
    return {name: str(value) for name, value in (await request.form()).items()}
