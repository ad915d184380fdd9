"""The paper's experiments: Tables 1 and 2, and the figures, each with its control and its intervals."""
