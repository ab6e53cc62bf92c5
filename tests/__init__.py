"""A package, since a library of the SDK installs a `tests` of its own, which would be found first."""
