"""What they may do: bundles of YAML rules, loaded whole or not at all, and the engine that decides."""
