"""Compiles the training steps for TPUs and GPUs on a machine that has neither, and predicts their times."""
