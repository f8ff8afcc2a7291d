"""Bugs planted on purpose, to see that the checkers find them. See README.md."""
