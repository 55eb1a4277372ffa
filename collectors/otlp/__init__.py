"""The OTLP/HTTP receiver: traces and logs over loopback, a unix socket, or a network with a token."""
