"""Groups of objects that a detector fails on, found by themselves and tested on images not used to find
them.
"""
