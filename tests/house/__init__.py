"""What `scripts/check` and `tests/test_house.py` share: the words, the types and the commands of the
documents.
"""
