"""The reviewers' web app: its own process, its own listener, its own login."""
