"""Export of the images into one folder per cluster, with undo."""
