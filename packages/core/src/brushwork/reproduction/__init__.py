"""Reproduce the results of the 2019 report within a time budget."""
