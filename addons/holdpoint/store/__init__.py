"""What survives a restart: approvals, votes and grants, behind one protocol."""
