"""Comparing evaluations: of several networks image by image, of one over its steps."""
