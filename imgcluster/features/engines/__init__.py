"""Where the extraction runs: this process, one process for each device, or a Dask cluster."""
