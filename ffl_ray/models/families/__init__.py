"""A file for each backbone family."""
