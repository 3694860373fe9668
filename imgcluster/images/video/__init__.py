"""Frames of videos as images: which ones, when they are shown, and their pixels as a viewer shows them."""
