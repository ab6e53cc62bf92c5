"""Pages, plots and how figures read on them."""
