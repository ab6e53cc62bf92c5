"""What each step reports: the typed content of its `report.json`, a file a step."""
