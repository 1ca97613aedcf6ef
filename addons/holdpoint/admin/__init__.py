"""The gateway's own door: a Unix socket for the console and the command line on the same machine."""
