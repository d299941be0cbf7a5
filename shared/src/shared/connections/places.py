"""Where in Prospo a person or an Org Admin mends a connection; each menu path is spelled here and nowhere else."""

ACCOUNT_PLACE = "Settings → Integrations → Microsoft Outlook"
CONNECTOR_PLACE = "Admin → Connectors → Microsoft 365"
ACCOUNT_PATH, CONNECTOR_PATH = "/integrations", "/connectors/microsoft365"
"""Where these are in the console."""
