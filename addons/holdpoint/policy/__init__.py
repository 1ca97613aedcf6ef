"""Who may do what, and with which duties: YAML rules with CEL conditions, read once, decided without I/O.

Nothing here reads a clock or the network. Files are read by `bundle` and `testing` alone, at load.
"""
