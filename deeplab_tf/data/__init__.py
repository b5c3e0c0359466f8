"""Input pipeline: records, labels, and what they mean. Knows nothing of models."""
