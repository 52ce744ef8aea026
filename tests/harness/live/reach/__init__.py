"""How a cluster is reached and waited for: programs, the API server, forwarded ports, HTTP from outside, watches."""
