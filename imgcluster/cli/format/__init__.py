"""The texts that commands print, made of the plain results of the library."""
