"""Queries: what is doubtful about an object beside others. One module per kind that is looked at.

What is wrong with an object alone is validation's to say; what is found while a proxy's resources
are compiled is noted there. Here is what no proxy need be asked for.
"""
