"""Pure decoders of what is sent to a Kubernetes API server: bytes in, frozen types out, `Undecodable` otherwise."""
