"""A page for people: a photograph in, its classes laid over it."""
