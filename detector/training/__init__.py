"""`recipes.py` is the door: it reads any recipe and starts the training it asks for."""
