"""Wilson's interval of a proportion."""

import numpy as np


def wilson_interval(rate: float, rows: int, *, z: float) -> tuple[float, float]:
    """Return the interval of a share observed in `rows` rows. `z`: 1.96 for 95%. Wilson, 1927."""
    centre, spread = rate + z * z / (2 * rows), z * np.sqrt(rate * (1 - rate) / rows + z * z / (4 * rows * rows))
    return float((centre - spread) / (1 + z * z / rows)), float((centre + spread) / (1 + z * z / rows))
