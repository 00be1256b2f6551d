"""What a model is written to, and the runtimes in which that is proven to compute the same."""
