"""What happened: flow files by session, and an audit log that can be proved whole."""
