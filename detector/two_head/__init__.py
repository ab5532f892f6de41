"""One object per image: a classification backbone with a head that names the class and a head that places the
box.
"""
