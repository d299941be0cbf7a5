"""Microsoft Entra: signing in, credentials, tokens, and what its refusals mean."""
