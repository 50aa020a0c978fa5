"""Disable network access for transformers and timm."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
