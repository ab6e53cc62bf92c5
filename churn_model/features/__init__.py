"""Canonical rows to encoded features."""
