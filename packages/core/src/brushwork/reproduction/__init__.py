"""The report of 2019, reproduced within a time budget."""
