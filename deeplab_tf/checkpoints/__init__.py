"""Checkpoints: native and official ones, pretrained weights, and a run's folder."""
