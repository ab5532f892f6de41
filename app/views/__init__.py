"""The pages, a folder each: `page.py` lays out, what only it uses stands beside it. A page
imports no other page."""
