"""Dataset specs as values: their shape, column types, derived columns."""
