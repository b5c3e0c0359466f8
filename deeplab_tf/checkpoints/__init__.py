"""Keeping networks: what is kept, and the one door to it."""
