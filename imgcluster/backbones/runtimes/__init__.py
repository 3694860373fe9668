"""Runtimes execute networks: a batch of uint8 pixels in, a batch of float32 vectors out."""
