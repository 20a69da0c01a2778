"""The contracts of core as tests, one suite a contract, for every back end the same and written against nothing else.

A back end passes them whole: there is no skip and no flag for what it cannot do.
"""
