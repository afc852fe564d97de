"""Every method on a pretrained sentence encoder and natural prompts: `python -m erasers.testbed --out DIR`.

No frames and no denoiser: what is measured is what the encoder still says. It needs the extra `testbed`: the weights.
"""
