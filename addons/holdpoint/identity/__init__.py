"""Who calls: tokens verified against their issuer's keys, claims turned into a Principal."""
