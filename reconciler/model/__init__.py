"""Frozen values that every layer speaks of. Pure: no I/O, clock, randomness, logging or environment."""
