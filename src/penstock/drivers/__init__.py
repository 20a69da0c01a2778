"""Connections that a broker and a result backend on the same server share. They know core, nothing above."""
