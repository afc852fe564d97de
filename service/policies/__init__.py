"""Policies: what operators demand of requests, which keys they bind, and what they come to together."""
