"""The bodies of requests and responses. Requests refuse unknown fields and never turn one type into another."""
