"""What tests and people steer the simulator with; nothing Microsoft has."""
