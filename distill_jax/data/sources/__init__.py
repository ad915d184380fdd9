"""Sources of data: each gives both splits, raw, and the names of its labels."""
