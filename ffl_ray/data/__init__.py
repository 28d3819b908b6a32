"""Images as tensors on the device: data sets, splits, augmentation and batches."""
