"""What breaks things: kills, soaks, scale, random input."""
