"""The UIUC location rule and runs scored by it."""
