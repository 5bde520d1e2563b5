"""The runner: runs sections of scripts at the far end of a connection, and streams back what they print.

These modules are joined into one text (``methods/bundle.py``) that is sent to the host as an argument of
``python3``: standard library only, Python 3.8 and later, nothing imported but what each file names.
One process, one poll loop.
"""
