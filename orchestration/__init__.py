"""Keep real servers in step with a Django database."""
