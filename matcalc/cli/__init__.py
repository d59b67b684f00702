"""The command line: one file for each command, and one for what their arguments and answers share."""
