"""What a model looks at over all customers, as a value: apart from what computes it, which takes a second to import."""

from dataclasses import dataclass

from churn_model.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class ReasonSummary:
    """What a model looks at, strongest first, and a sample of customers for a plot.

    mean_size      mean of the absolute contribution of each reason, in log odds (k,)
    contributions  of sampled rows (m, k)
    values         each row's place among the sample's values, from 0 to 1; NaN for categories and missing values (m, k)
    """

    names: tuple[str, ...]
    mean_size: FloatArray
    contributions: FloatArray
    values: FloatArray
