"""The command: what it is given, how it prints, and how it ends. Other commands of this project use the same."""
