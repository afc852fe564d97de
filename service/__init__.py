"""The gateway: accepts requests, resolves which erasers act, keeps the registry, and knows how every job ended."""
