"""Video models behind one seam: encode, denoise, decode. One file per family; `load` chooses by the model's own index."""
