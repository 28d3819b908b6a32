"""TensorBoard, MLflow, W&B and Trackio, told of what the tables hold."""
