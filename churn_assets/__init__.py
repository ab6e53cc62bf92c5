"""Where the pieces meet: assets, the command line, reports, the sample."""
