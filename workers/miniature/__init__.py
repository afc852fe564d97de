"""The miniature: a small text-to-video model of the project's own, made by `python -m workers.miniature.build`.

It is a complete diffusers `WanPipeline` and goes through the same code as the large models; see README.md here.
Importing this package does nothing.
"""
