"""What may be seen: profiles compiled once, applied to documents, streams and what is recorded."""
