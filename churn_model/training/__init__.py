"""From splits to a candidate: splitting, leak detection, search, fit."""
