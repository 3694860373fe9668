"""Image collections: local and remote folders, tar, zip and Parquet files."""
