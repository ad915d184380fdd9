"""Appendix C.5: does distillation denoise gradients? Linear models on channels, hundreds of seeds in one program."""
