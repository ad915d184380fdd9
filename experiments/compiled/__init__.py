"""What the compilers of TPUs and GPUs make of the training steps, on a machine that has neither."""
