"""The readiness board: what is probed at Microsoft, how often, and what each verdict means."""
