"""Scripts that run studies: `python -m experiments.distill` is the main job."""
