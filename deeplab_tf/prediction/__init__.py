"""Inference: a trained network, opened and applied."""
