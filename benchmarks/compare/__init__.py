"""Ours beside what others do: the authors' loop, documented Ray, Ray's reader, ImageFolder."""
