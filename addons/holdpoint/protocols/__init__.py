"""Pure decoders: bytes in, frozen types out, `Undecodable` otherwise. No I/O, no clock, no mitmproxy."""
