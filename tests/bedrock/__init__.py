"""Tests of AWS Bedrock."""
