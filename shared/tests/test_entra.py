"""Entra's refusals by what the caller does next."""

import pytest

from shared.entra import (
    EntraError,
    EntraMisconfigured,
    EntraReconnect,
    EntraRetry,
    EntraTellAdmin,
    EntraTenantGone,
    refusal,
)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"error": "invalid_grant", "error_codes": [50173], "suberror": "bad_token"}, EntraReconnect),
        ({"error": "invalid_grant", "error_description": "AADSTS700082: expired by inactivity"}, EntraReconnect),
        ({"error": "interaction_required", "error_codes": [50076]}, EntraReconnect),
        ({"error": "invalid_grant", "error_codes": [999999]}, EntraReconnect),
        ({"error": "access_denied", "error_description": "AADSTS65004: User declined"}, EntraReconnect),
        ({"error": "access_denied", "error_description": "AADSTS90094: The grant requires admin"}, EntraTellAdmin),
        ({"error": "invalid_grant", "error_codes": [65001], "suberror": "consent_required"}, EntraTellAdmin),
        ({"error": "invalid_grant", "error_codes": [53003]}, EntraTellAdmin),
        ({"error": "unauthorized_client", "error_codes": [700016]}, EntraTenantGone),
        ({"error": "unauthorized_client", "error_codes": [7000112]}, EntraTenantGone),
        ({"error": "temporarily_unavailable", "error_codes": [90033]}, EntraRetry),
        ({"error": "invalid_client", "error_codes": [7000222]}, EntraMisconfigured),
        ({}, EntraMisconfigured),
    ],
)
def test_a_refusal_says_who_acts_next(said: dict[str, object], kind: type[EntraError]) -> None:
    error = refusal(said)
    assert type(error) is kind
    assert error.message.endswith(".")
