"""Fitted models: families, calibration, contributions, reasons, and the bundle that holds them."""
