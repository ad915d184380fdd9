"""Training: losses, the compiled step, populations of models, and the loop over steps."""
