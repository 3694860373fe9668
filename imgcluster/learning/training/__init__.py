"""Training with torch on augmented images: a head alone, or with the last block of the network."""
