"""How a service runs: its composition, its commands, its migrations."""
