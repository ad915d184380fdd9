"""Where data come from: each source gives both splits, raw, and what its labels are called."""
