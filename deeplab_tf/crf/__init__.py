"""Fully connected CRF: engines of its mean field, and the lattice they filter on."""
