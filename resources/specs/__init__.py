"""Dataset specs read from YAML."""
