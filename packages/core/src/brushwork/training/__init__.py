"""What every training needs: run folder, state, processes, precision, averages, schedules."""
