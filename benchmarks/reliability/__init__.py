"""Harm of every kind, done to working folders, and what survived it."""
