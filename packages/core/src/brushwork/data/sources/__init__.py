"""The sources of paintings, one module for each kind of data."""
