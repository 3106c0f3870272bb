"""Fine-tuning: one train step, the loop around it, the losses, the schedule."""
