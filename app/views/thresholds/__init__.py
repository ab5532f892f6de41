"""The Thresholds page: the table of suggestions and the evaluation panel."""
