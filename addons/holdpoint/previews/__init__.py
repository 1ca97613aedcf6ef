"""What a held request would change, found out beforehand: by reading, and by the write itself with `dryRun=All`."""
