"""What the assets stand on: ports, their adapters (`local`, `aws`), settings, specs, versions, and the one place that wires them."""
