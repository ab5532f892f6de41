"""Boxes on pictures: style, label placement, scene, rendering, plots, SVG."""
