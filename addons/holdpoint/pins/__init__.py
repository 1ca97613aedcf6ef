"""What a server says of its tools, and whether somebody approved it. Pure: no clock, no file but the pin file."""
