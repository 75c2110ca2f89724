"""The web demo of brushwork: identify a painting, paint another.

The page itself is still to come; until then this package says so, and where the tools are.
"""
