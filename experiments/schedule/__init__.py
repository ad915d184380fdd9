"""How long all of the paper's studies take on some chips, on paper and by simulation with machines that are lost."""
