"""Published tables as presets, trained here, and ours held against them."""
