"""Column types: everything that depends on whether a column holds numbers, categories, dates or something else, one module per type."""
