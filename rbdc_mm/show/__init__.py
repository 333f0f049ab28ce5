"""What is looked at besides results: pictures and words of plans, growth, data, detections."""
