"""The HTTP calls: from a request to one call of the gateway's parts, and from the result to a body. They decide nothing."""
