"""Monitoring: logs, metrics, evaluation while training."""
