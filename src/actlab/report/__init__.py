"""What a person sees; computes nothing."""
