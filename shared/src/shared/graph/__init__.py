"""Microsoft Graph as the services use it."""
