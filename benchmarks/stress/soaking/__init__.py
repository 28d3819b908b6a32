"""What the soak is made of: looking at a study's processes, killing them, and judging it."""
