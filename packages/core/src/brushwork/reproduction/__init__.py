"""The 2019 report, reproduced within a budget of time."""
