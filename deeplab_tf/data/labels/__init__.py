"""The label contract: what masks may hold, and how mistakes show."""
