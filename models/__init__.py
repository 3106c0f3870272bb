"""What computes: nn.Modules only. No files but weights, no command-line arguments, no logging."""
