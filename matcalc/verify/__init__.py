"""Whole sheets of cases and claims: read, judged one by one in a process that may die, and written down."""
