"""Online meetings and what they leave behind."""
