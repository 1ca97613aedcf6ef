"""Pure, frozen types in the field's terms. Nothing here does I/O, reads a clock or draws a random number."""
