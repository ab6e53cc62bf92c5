"""The ports on one machine: a folder, processes, DuckDB."""
