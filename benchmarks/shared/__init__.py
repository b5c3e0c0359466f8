"""What benchmarks share, and what they run in processes of their own."""
