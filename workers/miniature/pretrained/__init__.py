"""The miniature on a pretrained text encoder: the same world, VAE and judge, with prompts in natural English."""
