"""Labels that are probably wrong: review them, keep what was decided."""
