"""Numbers and traces for the operator: Prometheus, and OpenTelemetry's conventions for MCP. No arguments."""
