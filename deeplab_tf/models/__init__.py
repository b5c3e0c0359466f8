"""Networks: Keras functional graphs from pure functions."""
