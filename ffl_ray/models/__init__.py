"""Backbones, fusion designs, and the one network that joins them."""
