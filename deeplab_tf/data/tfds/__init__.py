"""Data sets that tensorflow_datasets has prepared."""
