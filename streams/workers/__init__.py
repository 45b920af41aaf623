"""The workers of the distributed mode: Faust brings records and shares out the shards, the log's
positions decide everything else."""
