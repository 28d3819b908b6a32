"""The answers of a search: what each searched dimension does to the objective, and how sure."""
