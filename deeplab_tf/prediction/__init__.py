"""Predictions of a network, which is an argument here."""
