"""The processes that hold a model: the GPU worker, which generates, and the trainer, which makes erasers."""
