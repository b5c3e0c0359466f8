"""Visualization: pictures of predictions."""
