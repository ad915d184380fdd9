"""Devices, processes, checkpoints and kept programs: what the work runs on."""
