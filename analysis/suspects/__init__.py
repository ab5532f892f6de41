"""Labels that are probably wrong: found, shown with their evidence, decided by a reviewer."""
