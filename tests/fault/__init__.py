"""Crash harness: kills every part of a running programme under load, and asks the outside world what became of it."""
