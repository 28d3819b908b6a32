"""Does FFL help? The registered experiment, from its search space to its table."""
