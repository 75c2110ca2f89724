"""Core of brushwork."""
