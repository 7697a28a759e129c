"""Metrics of a run in other people's dashboards: TensorBoard, trackio, Weights & Biases. Clients of its events."""
