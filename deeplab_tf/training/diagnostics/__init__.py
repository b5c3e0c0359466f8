"""Diagnostics: preflight checks, warnings, memory, and dumps of NaN losses."""
