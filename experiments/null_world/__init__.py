"""How often the verdicts on deviations are false where nothing deviates, and how often right where something does."""
