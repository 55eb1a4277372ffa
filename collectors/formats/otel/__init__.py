"""OpenTelemetry spans and logs, whatever carried them (JSON, a dump, the receiver, a pull), as canonical records."""
