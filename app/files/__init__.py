"""Which files the app may read and what they are: roots, sources, the list of stored runs, pictures,
crops, the demo."""
