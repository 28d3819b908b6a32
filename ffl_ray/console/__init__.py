"""The console: views, tables and messages that a person sees."""
