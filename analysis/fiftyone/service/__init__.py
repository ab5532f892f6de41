"""FiftyOne itself: environment, database, App, processes, plugin, links."""
