"""Whether the verdicts of `confirm` are right as often as they say, on drawn trainings."""
