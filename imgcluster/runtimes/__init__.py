"""What executes the network: a batch of uint8 pictures in, a batch of float32 vectors out."""
