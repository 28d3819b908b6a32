"""Freeze-thaw, judged by replay: a model of all curves decides after each epoch who trains on."""
