"""The sections of a spec, a file each: their keys, the defaults, and the rules that a section can check by itself."""
