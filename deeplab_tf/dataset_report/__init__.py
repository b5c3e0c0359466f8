"""Looks through records, and shows what is wrong with them on a page."""
