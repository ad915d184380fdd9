"""Deviations, slopes and verdicts, with intervals, computed from dumps."""
