"""The road upstream: which credential a request carries, held in memory and put on the wire only."""
