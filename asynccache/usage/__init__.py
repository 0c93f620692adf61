"""What a request used, in one vocabulary for every provider."""
