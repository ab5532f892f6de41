"""Detections as other libraries hold them, and as a notebook shows them. Nothing here imports those
libraries before they are needed, and nothing knows `detector.core`, whose types call it.
"""
