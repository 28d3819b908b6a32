"""New seeds for the best configs, the test split once, and verdicts."""
