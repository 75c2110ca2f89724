"""Parts of every training: run folder, state, processes, precision, weight average, schedule."""
