"""One training, many looks: what one training tells of others that differ in one choice."""
