"""The model's own code: values in, values out. It travels into the container, so it knows no Dagster, no cloud and no environment."""
