"""Benchmarks: `python benchmarks/NAME.py --help`, from any folder."""
