"""From a folder of images to clusters and a submission file."""

__version__ = "0.1.0"
