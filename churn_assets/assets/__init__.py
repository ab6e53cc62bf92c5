"""The assets, one file a stage, each with its checks. They name ports, never adapters."""
