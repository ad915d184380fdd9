"""The command line: parsing, output and exit status, which other commands of this project share."""
