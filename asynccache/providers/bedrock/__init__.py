"""AWS Bedrock: Converse and Invoke, over signed requests and event-stream frames."""
