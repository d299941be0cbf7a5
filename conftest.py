pytest_plugins = [
    "shared.testing.running",
    "shared.testing.fixtures",
    "shared.testing.harness",
    "m365_simulator.fixtures",
]
