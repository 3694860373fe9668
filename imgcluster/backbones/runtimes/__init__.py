"""What executes a network: uint8 pixels in, float32 vectors out."""
