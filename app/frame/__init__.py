"""What every page shares: the state in the address line, controls, component loading, large-run
notice, first start, garbage collection."""
