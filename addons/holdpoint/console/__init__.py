"""The reviewers' web app: its own process, its own listener, its own login.

It decides nothing. Each decision goes to the gateway's admin socket with the reviewer's ID token, which the gateway
verifies itself, so that neither this process nor a forged request to it can approve anything.
"""
