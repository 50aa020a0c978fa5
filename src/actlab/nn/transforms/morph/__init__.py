"""Gradual replacement of activations in trained models, with fine-tuning."""
