"""Layers: what Keras lacks, and the blocks that all networks are made of."""
