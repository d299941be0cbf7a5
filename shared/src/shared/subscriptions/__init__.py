"""Being told by Microsoft Graph: subscriptions, their lifetimes, notifications and what they carry."""
