"""TensorBoard, MLflow and W&B, told of what the tables hold."""
