"""The SSD network: anchors, coder, backbones, heads, losses' targets, weights, reading a stored SSD."""
