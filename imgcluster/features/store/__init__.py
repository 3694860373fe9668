"""The feature store: shards of vectors on disk, found by image and fingerprint."""
