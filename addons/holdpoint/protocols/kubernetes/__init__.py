"""What the Kubernetes API server would understand by a request, and by the streams that it is upgraded to."""
