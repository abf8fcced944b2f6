"""`pannsdist data pack`: a dataset becomes tar shards and a manifest, from which it trains as from loose files."""
