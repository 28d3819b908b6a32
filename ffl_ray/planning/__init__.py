"""What a search or a training will take, before it starts."""
