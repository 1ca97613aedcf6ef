"""The Kubernetes API on the wire: what a request means to the API server, and answers that its clients understand."""
