"""What is published, as presets, and how what comes out here is held against it."""
