"""The screens: what is composed and which keys it has; drawing is the widgets' business."""
