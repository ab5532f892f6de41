"""The Data page: what is sent to the browser, networks, the picture scan."""
