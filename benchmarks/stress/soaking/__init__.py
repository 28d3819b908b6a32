"""What the soak is made of: samples of a study, groups, limits, the picture."""
