"""Metrics of whole clips, as VBench defines them where it does (Huang et al., arXiv 2311.17982). Higher is better in each."""
