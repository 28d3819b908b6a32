"""What a person sees while and after a command runs."""
