"""The Kubernetes API: what a request asks, and what an answer or an upgraded connection says. Pure."""
