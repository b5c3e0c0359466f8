"""Distribution strategies, clusters and hosts."""
