"""Labelled sets of pictures from packages of pip, npm and Debian, made where the packages lie unpacked."""
