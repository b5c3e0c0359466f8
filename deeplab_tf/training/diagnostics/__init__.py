"""Diagnostics: warnings, memory, signs of what went wrong, dumps of NaN losses."""
