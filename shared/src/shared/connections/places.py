"""The menu paths under which a person or an Org Admin mends a connection. They are spelled here only."""

ACCOUNT_PLACE = "Settings → Integrations → Microsoft Outlook"
CONNECTOR_PLACE = "Admin → Connectors → Microsoft 365"
ACCOUNT_PATH, CONNECTOR_PATH = "/integrations", "/connectors/microsoft365"
"""Their paths in the console."""
