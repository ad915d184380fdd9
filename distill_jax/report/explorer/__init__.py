"""The explorer: every example of a study with what teacher, control and students make of it, in the report itself."""

from distill_jax.report.explorer.page import explorer, write_folder

__all__ = ["explorer", "write_folder"]
