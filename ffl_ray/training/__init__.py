"""One process of one training, with torch alone."""
