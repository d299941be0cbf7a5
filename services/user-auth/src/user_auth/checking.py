"""Can Prospo work with this account? Asked before anything of it is stored, and again while something is in the way."""

from collections.abc import Iterable

from shared.connections import Tenant, tenant_of
from shared.database.unit_of_work import Database
from shared.problems import Conflict
from user_auth import connections, queries
from user_auth.graph import AccountFacts, account_facts
from user_auth.refreshing import AccessTokens
from user_auth.settings import Settings
from user_auth.tables import ConnectionRow

Notice = dict[str, str]

_SAYS = {
    "guest_account": (
        "This account is a guest in your organisation's Microsoft 365: its calendar and its Teams are elsewhere.",
        "Sign in with the work or school account that your organisation itself gave you.",
    ),
    "no_mailbox": (
        "This account has no mailbox in Exchange Online, so there is no calendar to put meetings into.",
        "Ask your Microsoft 365 administrator to assign a licence with Exchange Online to it, then connect again.",
    ),
    "no_teams_licence": (
        "This account may not hold Teams meetings, so Prospo can make none with it. Everything else works.",
        "Ask your Microsoft 365 administrator to give it a licence with Microsoft Teams, or to switch Teams on in it.",
    ),
    "not_checked": (
        "Microsoft did not say in time whether this account has a mailbox and Teams.",
        "Nothing is to be done: it is asked again within a day.",
    ),
}
_REFUSED = ("guest_account", "no_mailbox")
"""Findings that refuse the account. With others it is connected, and the notice stays on the connection."""


class AccountChecks:
    """Asks Graph with the person's own token, and no longer than ``account_check_within_s``."""

    def __init__(self, settings: Settings, db: Database, access_tokens: AccessTokens) -> None:
        self._settings = settings
        self._db = db
        self._access_tokens = access_tokens

    async def at_sign_in(self, org_id: str, user_id: str, access_token: str) -> connections.Checked:
        """Raises ``Conflict`` for an account that may not be connected."""
        facts = await self._ask(org_id, user_id, access_token)
        codes = _codes(facts)
        for code in _REFUSED:
            if code in codes:
                detail, remedy = _SAYS[code]
                raise Conflict(code, f"{detail} {remedy}", remedy=remedy)
        return connections.Checked(_notices(codes), facts.addresses)

    async def again(self, org_id: str, user_id: str) -> tuple[ConnectionRow | None, Tenant]:
        """Renew the notices and addresses of a connection, and return it. What was not answered stays as it is known.

        Raises ``Conflict`` when there is no connection (any more), ``Unavailable`` when Microsoft gives no token.
        """
        token = await self._access_tokens.token(org_id, user_id)
        facts = await self._ask(org_id, user_id, token.value)
        async with self._db.unit_of_work(org_id) as work:
            row = await queries.connection_in_time(work.session, org_id, user_id)
            if row is not None and (row.status, row.version) == ("connected", token.version):
                row.notices = _notices(_codes(facts, {notice["code"] for notice in row.notices}))
                connections.keep_addresses(row, facts.addresses, work.outbox)
            return row, await tenant_of(work.session, org_id)

    async def _ask(self, org_id: str, user_id: str, access_token: str) -> AccountFacts:
        within_s = self._settings.account_check_within_s
        return await account_facts(self._settings, org_id, user_id, access_token, within_s)


def _codes(facts: AccountFacts, before: Iterable[str] = ()) -> list[str]:
    """Codes of notices for these facts; ``before`` are earlier ones, which count where Graph gave no answer."""
    says = {
        "guest_account": facts.guest,
        "no_mailbox": None if facts.mailbox is None else not facts.mailbox,
        "no_teams_licence": None if facts.teams is None else not facts.teams,
    }
    if facts.mailbox is False:
        says["no_teams_licence"] = False  # the mailbox comes first; a licence for Teams alone would not help
    codes = [code for code, said in says.items() if said or (said is None and code in before)]
    unknown = None in says.values() and not codes
    return ["not_checked"] if unknown else codes


def _notices(codes: Iterable[str]) -> list[Notice]:
    return [{"code": code, "detail": _SAYS[code][0], "remedy": _SAYS[code][1]} for code in codes]
