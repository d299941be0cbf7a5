"""Events to test with."""

from datetime import UTC, datetime, timedelta

from shared.events import TenantState, UserState


def tenant_state(
    org_id: str = "acme", version: int = 1, *, auto_recording: bool = False, connected: bool = True
) -> TenantState:
    return TenantState.model_validate(
        {
            "org_id": org_id,
            "aggregate_version": version,
            "connected": connected,
            "tid": "t",
            "features": {"auto_recording": auto_recording},
            "changed_at": "2026-01-01T00:00:00Z",
        }
    )


def user_state(user_id: str = "anna", version: int = 1, *, connected: bool = True) -> UserState:
    return UserState.model_validate(
        {
            "org_id": "acme",
            "user_id": user_id,
            "aggregate_version": version,
            "connected": connected,
            "status": "connected" if connected else "disconnected",
            "tid": "t",
            "oid": "o",
            "name": "Anna",
            "email": "anna@contoso.example",
            "changed_at": "2026-01-01T00:00:00Z",
        }
    )


def leaving(state: UserState, for_s: float = 600) -> UserState:
    """The same at its end, with so much time to remove what is at Microsoft."""
    until = datetime.now(UTC) + timedelta(seconds=for_s)
    return state.model_copy(update={"connected": False, "status": "disconnected", "leaving_until": until})
