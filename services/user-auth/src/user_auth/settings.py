"""Every knob of user-auth."""

from shared.settings import PerHour, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    sign_in_life_s: int = 600
    """How long a sign-in may take from its start to Microsoft's answer."""
    sign_ins_per_hour: PerHour = 60
    """How often a person may set out for Microsoft's sign-in."""
    checks_per_hour: PerHour = 60
    """How often a person may have their account looked at again."""
    account_check_within_s: float = 4
    """How long Graph may take at a sign-in to say what the account can do; after that it is connected unchecked."""
    token_margin_s: int = 300
    """An access token with less time left than this is refreshed before it is given out."""
    token_recheck_s: float = 30
    """How long a token is given out from memory before the database is asked whether the connection still stands."""
    refusal_kept_s: float = 60
    """How long Microsoft is not asked again after a refusal that ends no connection and names no time itself."""
    keep_alive_every_s: float = 86_400
    """How often each connection is looked after."""
    keep_alive_idle_days: float = 7
    """A connection not used for so long is refreshed then; Microsoft ends one that is not used for 90 days."""
    leave_within_s: int = 600
    """How long, after a disconnect, the tokens may serve to remove what Prospo set at Microsoft for the person."""
    token_answer_within_s: float = 9
    """Callers hear 503 after this; the refresh goes on and its result is kept. Callers themselves wait 10 s."""
