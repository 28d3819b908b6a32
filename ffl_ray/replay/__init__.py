"""Searches replayed on a grid whose points were all trained: what a sampler would have found."""
