"""The sources of paintings, one module each."""
