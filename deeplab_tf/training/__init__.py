"""Training: one loop, on whatever devices there are."""
