"""From landed files to canonical rows: records, cells, columns, their order; what cannot be a row goes to quarantine with its reason."""
