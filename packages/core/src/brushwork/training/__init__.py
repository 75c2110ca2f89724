"""Parts of every training: run folder, state, processes, precision, average, rates, progress."""
