"""HTTP: routes, callers, limits, texts from outside, the audit trail."""
