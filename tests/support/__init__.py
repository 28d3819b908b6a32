"""What several test files use: studies, sessions, stores, commands."""
