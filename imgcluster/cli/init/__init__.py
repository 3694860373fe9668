"""`init`: look at a folder of images and write a first config for it."""
