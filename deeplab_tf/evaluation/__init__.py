"""Evaluation: one pass over a split, one confusion matrix, one score."""
