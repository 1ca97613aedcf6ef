"""mitmproxy glue: one addon per file, in the order of the pipeline.

A hook fetches the state, calls the core, and acts on the answer.
"""
