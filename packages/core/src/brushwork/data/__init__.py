"""Where paintings come from, which of them are used, and how they are kept ready for training."""
