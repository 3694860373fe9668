"""One module per kind of image file: each reads what the header says of the samples, and chooses their decoder."""
