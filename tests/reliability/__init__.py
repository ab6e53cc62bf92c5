"""Harm of every kind, done to working folders, and what is wrong afterwards. `make prove` tries a sample, `benchmarks/reliability.py` all of it."""
