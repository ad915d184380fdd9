"""Appendix C.4: does distillation exaggerate the bias towards the top eigendirections? Hundreds of seeds at once."""
