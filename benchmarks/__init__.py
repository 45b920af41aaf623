"""Measurements, one a file. They print JSON to standard output and progress to standard error."""
