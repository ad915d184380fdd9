"""A study: its folder, its students, and the order in which its models are trained."""
