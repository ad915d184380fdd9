"""The first minutes on an accelerator that nobody has seen."""
