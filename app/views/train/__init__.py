"""The Train page: forms, trainings, exports, sweeps and their jobs."""
