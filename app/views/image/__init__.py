"""The Image page: objects, misses, exact autopsy, heat maps, suppression, evidence."""
