"""Optimizers, gradients, learning-rate schedules, EMA and loss scale."""
