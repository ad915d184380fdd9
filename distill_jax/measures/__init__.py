"""Deviations, slopes and verdicts, with intervals: what is computed of dumps."""
